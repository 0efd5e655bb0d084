/**
 * Boots Debian's kernel over the working tree. `scripts/vm test [--kernel 6.1|6.12|all] [pattern…]` runs the tests that
 * depend on the kernel, or those of the patterns, which go to AVA. `scripts/vm shell [--kernel 6.1|6.12]` opens a shell
 * in the guest. `scripts/vm bench [--kernel 6.1|6.12] [argument…]` runs the bench. Nothing written there reaches this
 * machine.
 */
import { spawnSync } from 'node:child_process';
import { SERIES } from './kernel.mjs';
import { boot, Job, TREE } from './machine.mjs';
import { benchIn, testIn } from './run.mjs';

const USAGE = `usage: scripts/vm test [--kernel ${SERIES.join('|')}|all] [pattern…]
       scripts/vm bench [--kernel ${SERIES.join('|')}|all] [argument of npm run bench…]
       scripts/vm shell [--kernel ${SERIES.join('|')}]`;

function stop(message) {
  console.error(message);
  process.exit(1);
}

/** Removes `--kernel X` from the arguments. */
function seriesOf(args) {
  const at = args.findIndex((arg) => arg === '--kernel' || arg.startsWith('--kernel='));
  if (at < 0) return [SERIES[0]];
  const [option, value = args[at + 1]] = args[at].split('=');
  args.splice(at, args[at] === option ? 2 : 1);
  if (value === 'all') return SERIES;
  if (!SERIES.includes(value)) stop(`vm: kernel "${value}", expected ${SERIES.join(', ')} or all`);
  return [value];
}

function build() {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: TREE, stdio: 'inherit' });
  if (status !== 0) stop('vm: the build failed');
}

const onOutput = (text) => process.stdout.write(text);

async function test(args) {
  build();
  let passed = 0;
  let failed = 0;
  for (const series of seriesOf(args)) {
    const report = await testIn(series, { patterns: args, onOutput });
    for (const name of report.failures) console.log(`${series}: ${name}`);
    passed += report.passed;
    failed += report.failures.length;
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

async function bench(args) {
  build();
  for (const series of seriesOf(args)) {
    const reason = await benchIn(series, { args, onOutput });
    if (reason !== undefined) stop(`vm: ${series}: ${reason}`);
  }
}

async function shell(args) {
  const [series] = seriesOf(args);
  using job = new Job('');
  const reason = await boot(series, job, { isInteractive: true });
  if (reason !== undefined) stop(`vm: ${reason}`);
}

const [command, ...args] = process.argv.slice(2);
if (process.getuid() !== 0) stop('vm: not root: the shares show root files only to root');
if (command === 'test') await test(args);
else if (command === 'bench') await bench(args);
else if (command === 'shell') await shell(args);
else stop(USAGE);
