/**
 * The list of tests that run in the virtual machines. If a file or a test is renamed, its line would silently match
 * nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const TREE = new URL('../../', import.meta.url);

type Runs = (series: string) => string[][];

const { guestRuns, countedRuns }: { guestRuns: Runs; countedRuns: Runs } = await import(
  new URL('scripts/bed/run.mjs', TREE).href
);

const textOf = (path: string) => readFileSync(fileURLToPath(new URL(path, TREE)), 'utf8');

const lines = textOf('scripts/bed/kernel-tests')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

/** The path in a line, without the kernel or the `!` before it. Empty for a line with a title. */
const pathOf = (line: string) => line.replace(/^(6\.1|6\.12)(:counted)? |^!/, '').split(' ', 1)[0] ?? '';

test('every line names what is there', (t) => {
  const paths = lines.map(pathOf).filter((path) => path !== '');
  t.true(paths.length > 10);
  t.deepEqual(
    paths.filter((path) => !existsSync(new URL(path, TREE))),
    [],
  );
});

test('every title below a file is one of its tests', (t) => {
  let path = '';
  let titles = 0;
  for (const line of lines) {
    path = pathOf(line) || path;
    if (pathOf(line) !== '') continue;
    titles++;
    const title = line.trim();
    const isThere = title.startsWith('!')
      ? title
          .slice(1)
          .split('*')
          .every((part) => textOf(path).includes(part)) // in a template with other parts
      : titlesOf(path).some((like) => like.test(title));
    t.true(isThere, `${path}: ${title}`);
  }
  t.true(titles > 5);
});

test('a file of which tests are named runs those alone, though its folder runs whole', (t) => {
  const [whole = [], named = []] = guestRuns('6.12');
  const folder = whole.filter((file) => file.startsWith('test/nft/'));
  t.true(folder.length > 3);
  t.false(folder.includes('test/nft/batch.test.ts'));
  t.true(named.includes('test/nft/batch.test.ts'));
});

test('what is left out because it measures runs where the clock counts', (t) => {
  const rates = 'the rates measured are within 10 percent, after ';
  t.true(guestRuns('6.12')[0]?.includes(`--match=!${rates}*`));
  const [run = []] = countedRuns('6.12');
  t.true(run.some((arg) => arg.startsWith(`--match=${rates}`)));
  t.true(guestRuns('6.12')[0]?.includes(run[0] ?? ''), 'the rest of the file runs as before');
});

/** Patterns for all texts in a file that may be titles. `${…}` matches any text. */
function titlesOf(path: string): RegExp[] {
  const literals = [...textOf(path).matchAll(/(['"`])((?:(?!\1).)+)\1,\s+(?:async )?\(/g)].map(
    ([, , text]) => text ?? '',
  );
  return literals.map((text) => {
    const parts = text.split(/\$\{[^}]*\}/).map((part) => part.replaceAll(/[^\w ]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`);
  });
}
