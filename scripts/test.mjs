/**
 * Runs the tests: checks for the programs that they execute, runs AVA on the Node of node_modules, and prints as its
 * last line `N passed, N failed`. Fails on a failure, a crash, a hang, and a skipped test that test/allowed-skips.txt
 * does not name. Arguments go to AVA: `npm test -- test/net`, `npm test -- --match='*lease*'`. NETLOOM_TEST_REPORT=FILE
 * keeps the report as JSON. NETLOOM_TEST_SKIPS=any lets the reader of the report judge skipped tests. Runs on the Node
 * of the person who tests (20 or later).
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const node = join(root, 'node_modules/node/bin/node');
const ava = join(root, 'node_modules/ava/entrypoints/cli.js');

/** Options for the Node of AVA itself; AVA's --node-arguments are for the tests' Node. */
const NODE_ARGUMENTS = (process.env.NETLOOM_TEST_NODE_ARGUMENTS ?? '').split(' ').filter(Boolean);

/** AVA ends a run in which nothing happens for 10 minutes (ava.config.js). This limit ends AVA itself. */
const LIMIT_MINUTES = Number(process.env.NETLOOM_TEST_MINUTES ?? 40);

// A user's PATH may lack sbin. npm puts node_modules/.bin first. There, @vercel/nft, a dependency of AVA, would hide
// nftables' nft.
const PATH = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'].filter(
  (dir, i, all) => dir !== '' && !dir.endsWith('node_modules/.bin') && all.indexOf(dir) === i,
);

function stop(message) {
  console.error(`test: ${message}`);
  process.exit(1);
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Lines of a file that are neither empty nor a comment. */
function linesOf(file) {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

function checkPrograms() {
  const missing = linesOf(join(root, 'scripts/debian-packages'))
    .map((line) => line.split(/\s+/))
    .filter(([, program]) => program !== '-')
    .filter(
      ([, program]) => !(isAbsolute(program) ? [program] : PATH.map((dir) => join(dir, program))).some(isExecutable),
    );
  if (missing.length === 0) return;
  const list = missing.map(([name, program]) => `  ${program}: Debian package ${name}`).join('\n');
  stop(`programs that the tests execute are missing (scripts/setup-test installs them):\n${list}`);
}

/** npm's node needs a library that a minimal Debian lacks. */
function checkNode() {
  const { status, stderr } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (status !== 0) {
    stop(`${node} does not start (scripts/setup-test installs the Debian package libatomic1):\n  ${stderr.trim()}`);
  }
}

/**
 * How many files run at a time. More than there are processors, because tests that remove links wait for the kernel
 * (RCU) rather than for a processor.
 */
const CONCURRENCY = Math.min(2 * availableParallelism(), 8);

/**
 * Runs AVA in a process group of its own, so that nothing that it started survives it. Each test file is a process that
 * loads most of src/. Node caches what it has compiled, so the others start three times as fast.
 */
function runAva(args, report) {
  return new Promise((resolve) => {
    const child = spawn(node, [...NODE_ARGUMENTS, ava, `--concurrency=${CONCURRENCY}`, ...args], {
      cwd: root,
      env: {
        ...process.env,
        PATH: PATH.join(delimiter),
        NETLOOM_TEST_REPORT: report,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(dirname(report), 'compiled'),
      },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    });
    const end = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // The group has ended already.
      }
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(signal));
    const limit = setTimeout(() => {
      console.error(`test: ended after ${LIMIT_MINUTES} minutes (NETLOOM_TEST_MINUTES)`);
      end('SIGKILL');
    }, LIMIT_MINUTES * 60_000);
    child.on('error', (error) => stop(`cannot execute ${node}: ${error.message}`));
    child.on('exit', (status) => {
      clearTimeout(limit);
      end('SIGKILL');
      resolve(status ?? 1);
    });
  });
}

function readReport(report) {
  return existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : { passed: 0, failures: ['AVA (it did not run to its end: see above)'], skips: [], tests: {} };
}

function printList(title, names) {
  if (names.length === 0) return;
  console.log(`\n${title}`);
  for (const name of names) console.log(`  ${name}`);
}

if (process.getuid() !== 0) stop('not root: the tests make network namespaces');
if (!isExecutable(node) || !existsSync(ava)) stop('node_modules is missing or incomplete: run "npm ci" first');
checkPrograms();
checkNode();

const dir = mkdtempSync(join(tmpdir(), 'netloom-test-'));
const status = await runAva(process.argv.slice(2), join(dir, 'report.json'));
const report = readReport(join(dir, 'report.json'));
const { passed, failures, skips } = report;
rmSync(dir, { recursive: true });

const allowed = new Set(linesOf(join(root, 'test/allowed-skips.txt')));
const unexpected = process.env.NETLOOM_TEST_SKIPS === 'any' ? [] : skips.filter((name) => !allowed.has(name));
if (failures.length === 0 && status !== 0) failures.push(`AVA (exit status ${status})`);
if (failures.length === 0 && passed === 0) failures.push('AVA (no test ran)');
if (process.env.NETLOOM_TEST_REPORT) writeFileSync(process.env.NETLOOM_TEST_REPORT, JSON.stringify(report));

printList('Skipped, and not named in test/allowed-skips.txt:', unexpected);
printList('Failed:', failures);
console.log(`\n${passed} passed, ${failures.length} failed${skips.length > 0 ? `, ${skips.length} skipped` : ''}`);
process.exitCode = failures.length > 0 || unexpected.length > 0 ? 1 : 0;
