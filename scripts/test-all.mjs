/**
 * All tests on all kernels: the tests of this machine; those that depend on the kernel, in a virtual machine of each
 * series; and those of the plugins here once more, with an agent. Prints the matrix of kernel features against tests,
 * and as its last line `N passed, N failed`. A test that was skipped on every kernel is a failure. Arguments go to AVA
 * on all machines: `npm run test:all -- test/rtnl`.
 */
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SERIES } from './bed/kernel.mjs';
import { TREE } from './bed/machine.mjs';
import { matrix, ranNowhere } from './bed/matrix.mjs';
import { testIn } from './bed/run.mjs';

const patterns = process.argv.slice(2);

/** @returns the report, with one more failure if the run itself failed */
async function testHere(args, environment = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  const path = join(dir, 'report.json');
  const child = spawn(process.execPath, ['scripts/test.mjs', ...args], {
    cwd: TREE,
    stdio: 'inherit',
    env: { ...process.env, ...environment, NETLOOM_TEST_REPORT: path },
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
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

/**
 * The tests of the plugins with an agent, except those named in test/not-by-agent.txt. Their skips are the same as
 * without an agent.
 */
async function testByAgent(args) {
  console.log('\nThe tests of plugins once more, by an agent:');
  const begin = performance.now();
  const report = await testHere(args, { NETLOOM_TEST_AGENT: '1', NETLOOM_TEST_SKIPS: 'any' });
  console.log(`by an agent: ${report.passed} passed, ${report.failures.length} failed, in ${secondsSince(begin)} s`);
  return report;
}

/** Those of the arguments that concern these tests, including flags; all of their files if there are no arguments. */
function agentArguments() {
  const PLUGINS = 'test/plugins';
  if (patterns.length > 0) {
    const own = patterns.filter((each) => each.startsWith(PLUGINS) || !each.startsWith('test'));
    return own.some((each) => each.startsWith(PLUGINS)) ? own : [];
  }
  const lines = readFileSync(join(TREE, 'test/not-by-agent.txt'), 'utf8').split('\n');
  const leftOut = lines.map((line) => line.split(' ', 1)[0]);
  return globSync(`${PLUGINS}/**/*.test.ts`, { cwd: TREE }).filter((file) => !leftOut.includes(file));
}

function secondsSince(begin) {
  return ((performance.now() - begin) / 1000).toFixed(0);
}

/** Prints nothing while all is well. */
async function testThere(series) {
  const begin = performance.now();
  const report = await testIn(series, { patterns });
  if (report.failures.length > 0) console.log(report.log);
  console.log(
    `Linux ${series}: ${report.passed} passed, ${report.failures.length} failed, in ${secondsSince(begin)} s`,
  );
  return report;
}

const runs = [{ kernel: release().split('.', 2).join('.'), report: await testHere(patterns) }];
const there = SERIES.map(async (series) => ({ kernel: series, report: await testThere(series) })); // at the same time: each has one processor
const agentArgs = agentArguments();
// When the first guest ends, it leaves a processor for the plugins' second run, while the other goes on.
const byAgent = agentArgs.length > 0 ? Promise.race(there).then(() => testByAgent(agentArgs)) : undefined;
runs.push(...(await Promise.all(there)));

console.log(`\n${matrix(runs).join('\n')}`);
const nowhere = ranNowhere(runs).map((name) => `no kernel: ${name} (skipped on all)`);
if (byAgent !== undefined) runs.push({ kernel: 'by an agent', report: await byAgent });
const failures = runs.flatMap(({ kernel, report: { failures, reasons = {} } }) =>
  failures.map((name) => `${kernel}: ${[name, ...(reasons[name] ?? '').split('\n')].join('\n      ').trimEnd()}`),
);
failures.push(...nowhere);
// The reasons are printed once more: the tests' own output may be far above, or cut off.
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((name) => `  ${name}\n`).join('')}`);
const passed = runs.reduce((sum, { report }) => sum + report.passed, 0);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;
