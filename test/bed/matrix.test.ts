/** The matrix made from the reports of several kernels. A test that runs on none of them must be noticed. */
import test from 'ava';

interface Report {
  readonly tests: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  readonly skips: readonly string[];
}

type Runs = readonly { readonly kernel: string; readonly report: Report }[];

const { matrix, ranNowhere }: { matrix(runs: Runs): string[]; ranNowhere(runs: Runs): string[] } = await import(
  new URL('../../scripts/bed/matrix.mjs', import.meta.url).href
);

const VLAN = 'a.test.ts › one [needs vlan: CONFIG_VLAN]';
const BOTH = 'a.test.ts › two [needs vlan: CONFIG_VLAN, dummy: CONFIG_DUMMY]';
const PLAIN = 'a.test.ts › three';

function run(
  kernel: string,
  tests: readonly string[],
  skips: readonly string[] = [],
  failures: readonly string[] = [],
) {
  return { kernel, report: { tests: Object.fromEntries(tests.map((name) => [name, 1])), skips, failures } };
}

test('a feature has its tests below it, a test of two features stands below both', (t) => {
  const runs = [run('6.18', [PLAIN], [VLAN, BOTH]), run('6.1', [VLAN], [], [BOTH]), run('6.12', [BOTH])];
  t.deepEqual(matrix(runs).slice(1), [
    '',
    '                     dummy: CONFIG_DUMMY',
    '-      x      +      a.test.ts › two',
    '',
    '                     vlan: CONFIG_VLAN',
    '-      +      .      a.test.ts › one',
    '-      x      +      a.test.ts › two',
  ]);
});

test('what was skipped here and ran there has run, also where it failed', (t) => {
  t.deepEqual(ranNowhere([run('6.18', [], [VLAN, BOTH]), run('6.1', [VLAN], [], [BOTH])]), []);
});

test('what was skipped on every kernel, or skipped here and left out there, ran nowhere', (t) => {
  t.deepEqual(ranNowhere([run('6.18', [], [VLAN]), run('6.1', [], [VLAN])]), [VLAN]);
  t.deepEqual(ranNowhere([run('6.18', [], [VLAN]), run('6.1', [PLAIN])]), [VLAN]);
});
