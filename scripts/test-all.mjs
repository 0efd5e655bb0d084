/**
 * All tests on all kernels: those of this machine, then those that ask something of their kernel in a virtual machine of each series. Prints the matrix of
 * kernel feature against test, and as its last line `N passed, N failed`. A test that was skipped on every kernel is a failure. Arguments go to AVA, here and there: `npm run test:all -- test/rtnl`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SERIES } from './bed/kernel.mjs';
import { TREE } from './bed/machine.mjs';
import { matrix, ranNowhere } from './bed/matrix.mjs';
import { testIn } from './bed/run.mjs';

const patterns = process.argv.slice(2);

/** @returns the report, with a failure more where the run failed by something that is no test's */
function testHere() {
  const dir = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  const path = join(dir, 'report.json');
  const { status } = spawnSync(process.execPath, ['scripts/test.mjs', ...patterns], {
    cwd: TREE,
    stdio: 'inherit',
    env: { ...process.env, NETLOOM_TEST_REPORT: path },
  });
  try {
    const report = JSON.parse(readFileSync(path, 'utf8'));
    if (status !== 0 && report.failures.length === 0)
      report.failures.push(`the tests of this machine (status ${status})`);
    return report;
  } catch {
    return { passed: 0, failures: ['the tests of this machine: they did not run'], skips: [], tests: {} };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Quiet while all is well. */
async function testThere(series) {
  const begin = performance.now();
  const report = await testIn(series, { patterns });
  if (report.failures.length > 0) console.log(report.log);
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`Linux ${series}: ${report.passed} passed, ${report.failures.length} failed, in ${seconds} s`);
  return report;
}

const runs = [{ kernel: release().split('.', 2).join('.'), report: testHere() }];
const there = SERIES.map(async (series) => ({ kernel: series, report: await testThere(series) }));
runs.push(...(await Promise.all(there))); // at once: each has one processor

console.log(`\n${matrix(runs).join('\n')}`);
const failures = runs.flatMap(({ kernel, report }) => report.failures.map((name) => `${kernel}: ${name}`));
failures.push(...ranNowhere(runs).map((name) => `no kernel: ${name} (skipped on all)`));
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((name) => `  ${name}\n`).join('')}`);
const passed = runs.reduce((sum, { report }) => sum + report.passed, 0);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;
