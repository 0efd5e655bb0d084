/**
 * Records a run of AVA for scripts/test.mjs: AVA's reporter is for people, and not every CI understands its last lines.
 * AVA calls it in its own process (ava.config.js). Without NETLOOM_TEST_REPORT it records nothing. NB: `observeRun` is
 * an experiment of AVA 8.0.1, which package.json pins.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** Failures of a whole file rather than of one test. */
const CRASHES = new Set([
  'uncaught-exception',
  'unhandled-rejection',
  'internal-error',
  'process-exit',
  'worker-failed',
]);

/** How long AVA may take to end after a run that timed out, in milliseconds. */
const GRACE = 5_000;

export async function observeRun({ events }) {
  const report = process.env.NETLOOM_TEST_REPORT;
  const failures = [];
  /** Why they failed, by name, if they say so. */
  const reasons = {};
  const skips = [];
  /** Those that passed, by name, with their duration in milliseconds. */
  const tests = {};
  const crashed = new Set();
  let stats;
  const write = () => {
    const passed = (stats?.passedTests ?? 0) + (stats?.passedKnownFailingTests ?? 0);
    const files = [...crashed].map((name) => `${name || 'AVA'} (the whole file: see above)`);
    writeFileSync(report, JSON.stringify({ passed, failures: [...failures, ...files], reasons, skips, tests }));
  };

  for await (const event of events) {
    if (!report) continue;
    const file = event.testFile ? relative(process.cwd(), event.testFile) : '';
    const name = `${file} › ${event.title}`;
    if (event.type === 'stats') stats = event.stats;
    if (event.type === 'test-failed' || event.type === 'hook-failed') {
      failures.push(name);
      reasons[name] = reasonOf(event.err);
    }
    if (event.type === 'test-passed') tests[name] = event.duration;
    if (event.type === 'selected-test' && (event.skip || event.todo)) skips.push(name);
    if (CRASHES.has(event.type)) crashed.add(file);
    if (event.type === 'worker-finished' && !event.forcedExit && stats?.byFile.get(event.testFile)?.declaredTests === 0)
      crashed.add(file);
    // This event also drops the tests from the pending ones, so count them here.
    if (event.pendingTests) {
      for (const [pending, titles] of event.pendingTests) {
        for (const title of titles) failures.push(`${relative(process.cwd(), pending)} › ${title} (never ended)`);
      }
    }
    if (event.type === 'end' || event.type === 'interrupt') write();
    if (event.type === 'timeout') {
      // NB: AVA waits until no process holds the standard error of a file that it has ended. A program that its test
      // started may hold it for good.
      setTimeout(() => {
        write();
        process.exit(1);
      }, GRACE).unref();
    }
  }
}

/** How much of a reason is kept: it may be the difference of two whole rulesets. */
const [MESSAGE_MAX, LINES_MAX, WIDTH_MAX] = [12, 40, 300];

/** The error as lines: its message, the values that differ, and where. */
function reasonOf({ message = '', formattedDetails = [], formattedCause, formattedError, stack = '' }) {
  const details = formattedDetails.map(({ label, formatted }) => `${label}\n${formatted}`);
  const text = [message.split('\n').slice(0, MESSAGE_MAX).join('\n'), ...details, formattedCause, formattedError]
    .filter(Boolean)
    .join('\n');
  const place = stack.split('\n').find((line) => line.includes('.test.ts:')) ?? '';
  const lines = stripVTControlCharacters(text).split('\n').slice(0, LINES_MAX);
  return [...lines, stripVTControlCharacters(place).trim()]
    .filter(Boolean)
    .map((line) => line.slice(0, WIDTH_MAX))
    .join('\n');
}
