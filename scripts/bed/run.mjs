/** Runs the tests in a guest, with a report like that of scripts/test.mjs, or the bench. */
import { closeSync, globSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { boot, Job, TREE } from './machine.mjs';

/** How many lines of the guest's console are shown after an error. */
const CONSOLE_LINES = 60;

/**
 * Emulation is slowest at code that is generated at run time, because it must translate it again and again. Without its
 * compilers, Node starts a third faster.
 */
const NODE_ARGUMENTS = '--no-opt --no-maglev --no-sparkplug';

/**
 * Runs tests in a guest.
 * @param options patterns: for AVA, instead of all tests for the kernel; onOutput gets the output as it is printed
 * @returns {Promise<{passed: number, failures: string[], reasons: Record<string, string>,
 * skips: string[], tests: Record<string, number>, log: string}>}
 */
export async function testIn(series, { patterns = [], onOutput } = {}) {
  if (patterns.length > 0) return guest(series, [patterns], { onOutput });
  const reports = [await guest(series, guestRuns(series), { onOutput })];
  const counted = countedRuns(series);
  if (counted.length > 0) reports.push(await guest(series, counted, { onOutput, isCounting: true }));
  return { ...together(reports), log: reports.map(({ log }) => log).join('') };
}

/** Several runs of AVA in one guest, from its boot to its end. */
async function guest(series, runs, { onOutput, isCounting = false }) {
  using job = new Job(script(runs, isCounting));
  const reason = await booted(series, job, { onOutput, isCounting });
  const texts = runs.map((_, i) => job.read(`report-${i}`)).filter((text) => text !== undefined);
  const report = together(texts.map((text) => JSON.parse(text)));
  const status = job.read('status')?.trim();
  if (reason !== undefined) report.failures.push(`the guest of ${series}: ${reason}`);
  else if (status === undefined) report.failures.push(`the guest of ${series} ended before its tests did`);
  else if (status !== '0' && report.failures.length === 0)
    report.failures.push(`the tests in ${series} (status ${status})`);
  const console = report.failures.length > 0 ? consoleEnd(job) : '';
  return { ...report, log: (job.read('log') ?? '') + console };
}

/**
 * Runs the bench in a guest.
 * @param args for bench/main.ts
 * @returns the reason if it failed
 */
export async function benchIn(series, { args, onOutput }) {
  using job = new Job(
    `node_modules/node/bin/node ${NODE_ARGUMENTS} --disable-warning=ExperimentalWarning bench/main.ts ${quoted(args)}\n`,
  );
  const reason = await booted(series, job, { onOutput, isCounting: true });
  const status = job.read('status')?.trim();
  return reason ?? (status === '0' ? undefined : `the bench left with ${status ?? 'nothing'}`);
}

/** Boots, and passes on the log while it grows. */
async function booted(series, job, { onOutput, ...options }) {
  const log = new Tail(join(job.dir, 'log'));
  const timer = setInterval(() => onOutput?.(log.more()), 500);
  const reason = await boot(series, job, options).catch((error) => error.message);
  clearInterval(timer);
  onOutput?.(log.more());
  return reason;
}

/** Merges the reports of several runs of AVA. */
function together(reports) {
  return {
    passed: reports.reduce((sum, { passed }) => sum + passed, 0),
    failures: reports.flatMap(({ failures }) => failures),
    reasons: Object.assign({}, ...reports.map(({ reasons }) => reasons)),
    skips: reports.flatMap(({ skips }) => skips),
    tests: Object.assign({}, ...reports.map(({ tests }) => tests)),
  };
}

/**
 * The arguments of AVA's runs. First come the files that run whole: those of kernel-tests, and those with a test that
 * needs a feature. Then come the files with single tests named in kernel-tests. They need a run of their own, because
 * AVA applies titles to all files of a run.
 */
export function guestRuns(series) {
  const all = kernelTests();
  const entries = all.filter((entry) => (entry.only ?? series) === series);
  const leftOut = entries.filter((entry) => entry.isLeftOut);
  const parts = entries.filter((entry) => entry.titles.length > 0);
  const whole = entries.filter((entry) => !leftOut.includes(entry) && !parts.includes(entry));
  const elsewhere = all.filter(({ path }) => !entries.some((entry) => entry.path === path));
  const isIn = (file) => (entry) => file === entry.path || file.startsWith(`${entry.path}/`);
  const needs = (file) => /\bneeds[(:]/.test(readFileSync(join(TREE, file), 'utf8')); // also `needs: 'vlan'` in a table of cases
  const files = globSync('test/**/*.test.ts', { cwd: TREE })
    .filter((file) => ![...leftOut, ...elsewhere].some(isIn(file)))
    .filter((file) => !parts.some(isIn(file)) && (whole.some(isIn(file)) || needs(file)))
    .sort();
  const without = whole.flatMap((entry) => entry.without);
  return [
    [...files, ...without.map((title) => `--match=!${title}`)],
    [...parts.map(({ path }) => path), ...parts.flatMap(({ titles }) => titles.map((title) => `--match=${title}`))],
  ].filter((args) => args.length > 0); // AVA without arguments runs everything
}

/** The arguments of AVA's runs in a guest whose clock counts instructions: tests that measure time, by their titles. */
export function countedRuns(series) {
  return kernelTests()
    .filter(({ only }) => only === `${series}:counted`)
    .map(({ path, titles }) => [path, ...titles.map((title) => `--match=${title}`)]);
}

/** The lines of kernel-tests: paths, each with the titles indented below it, which run, or do not run with `!`. */
function kernelTests() {
  const entries = [];
  for (const line of readFileSync(new URL('kernel-tests', import.meta.url), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, only, leftOut, path] = /^(?:(\d\S*) )?(!?)(\S*)/.exec(line);
    const title = line.trim();
    if (path !== '') entries.push({ path, only, isLeftOut: leftOut === '!', titles: [], without: [] });
    else if (title.startsWith('!')) entries.at(-1).without.push(title.slice(1));
    else entries.at(-1).titles.push(title);
  }
  return entries;
}

/**
 * The script of several runs, each with a report of its own. The second run finds what Node compiled in the first.
 * @param isCounting the clock leaps to the next timer whenever the guest waits, even for a file; so nothing may end by
 * time alone
 */
function script(runs, isCounting) {
  const [timeout, minutes] = isCounting ? ['99h', 10_000] : ['15m', 1000];
  const lines = runs.map(
    (args, i) =>
      `NETLOOM_TEST_REPORT=/run/bed/report-${i} node_modules/node/bin/node scripts/test.mjs --timeout=${timeout} '--node-arguments=${NODE_ARGUMENTS}' ${quoted(args)} || status=1\n`,
  );
  return `export NODE_COMPILE_CACHE=/tmp/compiled NETLOOM_TEST_SKIPS=any NETLOOM_TEST_MINUTES=${minutes} NETLOOM_TEST_COUNTED=${isCounting ? '1' : ''} NETLOOM_TEST_NODE_ARGUMENTS='${NODE_ARGUMENTS}'
status=0
${lines.join('')}exit $status\n`;
}

/** Quotes arguments for the shell. */
function quoted(args) {
  return args.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
}

function consoleEnd(job) {
  const lines = (job.read('console') ?? '').trimEnd().split('\n');
  return `\nThe guest's console:\n${lines
    .slice(-CONSOLE_LINES)
    .map((line) => `  ${line.trimEnd()}\n`)
    .join('')}`;
}

/** Reads what was appended to a file since the last time. */
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
      return ''; // it does not exist yet
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
