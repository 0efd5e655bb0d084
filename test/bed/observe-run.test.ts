/** The record of an AVA run, even of one that does not end by itself. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const TREE = fileURLToPath(new URL('../../', import.meta.url));

/** A test that never ends; its program keeps the standard error of its file open. */
const HANGING = `import { spawn } from 'node:child_process';
import test from 'ava';
test('one ends', (t) => t.pass());
test('one fails', (t) => t.deepEqual(['is'], ['should be']));
test('one never does', async () => {
  spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'inherit'] });
  await new Promise(() => setInterval(() => {}, 1000));
});
`;

test('a test that never ends fails, the others count, and the run is over', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'netloom-observe-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  symlinkSync(join(TREE, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(dir, 'hanging.test.js'), HANGING);
  writeFileSync(
    join(dir, 'ava.config.js'),
    `import { observeRun } from ${JSON.stringify(join(TREE, 'scripts/observe-run.mjs'))};
export default { workerThreads: false, timeout: '5s', nonSemVerExperiments: { observeRunsFromConfig: true }, observeRun };`,
  );
  const report = join(dir, 'report.json');
  const { AVA_PATH: _, ...environment } = process.env;
  const ava = spawn(process.execPath, [join(TREE, 'node_modules/ava/entrypoints/cli.js')], {
    cwd: dir,
    env: { ...environment, NETLOOM_TEST_REPORT: report },
    stdio: 'ignore',
    detached: true,
  });
  t.teardown(() => process.kill(-(ava.pid ?? 0), 'SIGKILL')); // kills the program that is left
  const late = setTimeout(() => process.kill(-(ava.pid ?? 0), 'SIGKILL'), 120_000);
  const [status] = await once(ava, 'exit');
  clearTimeout(late);
  t.is(status, 1);
  const { passed, failures, reasons } = JSON.parse(readFileSync(report, 'utf8'));
  t.is(passed, 1);
  t.deepEqual(failures, ['hanging.test.js › one fails', 'hanging.test.js › one never does (never ended)']);
  t.regex(reasons['hanging.test.js › one fails'], /'is'[\s\S]*'should be'/);
});
