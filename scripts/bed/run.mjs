/**
 * A run of the tests in a guest, and its report as scripts/test.mjs writes it.
 */
import { closeSync, globSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { boot, Job, TREE } from './machine.mjs';

/** How much of the guest's console is worth reading when something went wrong. */
const CONSOLE_LINES = 60;

/** Code that is made while it runs is what emulation is slowest at: it must be translated again and again. Without compilers Node starts a third faster. */
const NODE_ARGUMENTS = '--no-opt --no-maglev --no-sparkplug';

/**
 * Runs tests in a guest.
 * @param options patterns: for AVA, in place of every test of its kernel; onOutput gets what the run prints as it prints it
 * @returns {Promise<{passed: number, failures: string[], skips: string[], tests: Record<string, number>, log: string}>}
 */
export async function testIn(series, { patterns = [], onOutput } = {}) {
  using job = new Job(script(patterns.length > 0 ? patterns : guestFiles()));
  const log = new Tail(join(job.dir, 'log'));
  const timer = setInterval(() => onOutput?.(log.more()), 500);
  const reason = await boot(series, job).catch((error) => error.message);
  clearInterval(timer);
  onOutput?.(log.more());

  const report = JSON.parse(job.read('report') ?? '{"passed":0,"failures":[],"skips":[],"tests":{}}');
  const status = job.read('status')?.trim();
  if (reason !== undefined) report.failures.push(`the guest of ${series}: ${reason}`);
  else if (status === undefined) report.failures.push(`the guest of ${series} ended before its tests did`);
  else if (status !== '0' && report.failures.length === 0)
    report.failures.push(`the tests in ${series} (status ${status})`);
  const console = report.failures.length > 0 ? consoleEnd(job) : '';
  return { ...report, log: (job.read('log') ?? '') + console };
}

/** The files that ask something of their kernel: those of kernel-tests, and those with a test that needs a feature. */
function guestFiles() {
  const lines = readFileSync(new URL('kernel-tests', import.meta.url), 'utf8').split('\n');
  const paths = lines.map((line) => line.split(/\s/, 1)[0]).filter((path) => path !== '' && path !== '#');
  const isIn = (file, path) => file === path || file.startsWith(`${path}/`);
  const isListed = (file) =>
    paths.some((path) => isIn(file, path)) && !paths.some((path) => path.startsWith('!') && isIn(file, path.slice(1)));
  const needs = (file) => /\bneeds[(:]/.test(readFileSync(join(TREE, file), 'utf8')); // also `needs: 'vlan'` of a table of cases
  return globSync('test/**/*.test.ts', { cwd: TREE })
    .filter((file) => isListed(file) || needs(file))
    .sort();
}

function script(args) {
  const quoted = args.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`);
  return `export NETLOOM_TEST_REPORT=/run/bed/report NETLOOM_TEST_SKIPS=any NETLOOM_TEST_MINUTES=1000
export NETLOOM_TEST_NODE_ARGUMENTS='${NODE_ARGUMENTS}'
node_modules/node/bin/node scripts/test.mjs --timeout=15m '--node-arguments=${NODE_ARGUMENTS}' ${quoted.join(' ')}\n`;
}

function consoleEnd(job) {
  const lines = (job.read('console') ?? '').trimEnd().split('\n');
  return `\nThe guest's console:\n${lines
    .slice(-CONSOLE_LINES)
    .map((line) => `  ${line.trimEnd()}\n`)
    .join('')}`;
}

/** What is appended to a file, from one look to the next. */
class Tail {
  #path;
  #offset = 0;

  constructor(path) {
    this.#path = path;
  }

  more() {
    let file;
    try {
      file = openSync(this.#path);
    } catch {
      return ''; // not there yet
    }
    try {
      const chunk = Buffer.alloc(1 << 20);
      const length = readSync(file, chunk, 0, chunk.length, this.#offset);
      this.#offset += length;
      return chunk.toString('utf8', 0, length);
    } finally {
      closeSync(file);
    }
  }
}
