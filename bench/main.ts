/**
 * `npm run bench`: netloom's plugins against the reference plugins, both sides in turn, in a private network namespace.
 *
 *   --n N            measurements of each verb and side (40)
 *   --only NAME      one experiment, or several with commas; experiments.ts has their names
 *                    `plots` draws those of docs/performance.md, and runs only when it is named
 *   --plugins DIR    instead of dist/bin
 *   --reference DIR  instead of /usr/lib/cni
 *   --json FILE      the figures as one JSON document
 *   --into FILE      puts the tables into that file, between `<!-- bench -->` and `<!-- /bench -->`
 *
 * Leases are kept below TMPDIR. The cost of writing them depends on the file system there, which is printed. Files of
 * /run are in memory, as on any system.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { becomeHost, makeRoot } from '../test/support/host.ts';
import type { Report, Side } from './experiment.ts';
import { plots } from './experiments/plots.ts';
import { EXPERIMENTS } from './experiments.ts';
import { Launcher } from './launcher.ts';
import { asMarkdown, asText } from './report.ts';
import { mountRun } from './run-directory.ts';
import { summarize } from './statistics.ts';
import { surroundings } from './surroundings.ts';

const { values } = parseArgs({
  options: {
    n: { type: 'string', default: '40' },
    only: {
      type: 'string',
      default: EXPERIMENTS.filter(({ isApart }) => !isApart)
        .map(({ name }) => name)
        .join(','),
    },
    plugins: { type: 'string', default: fileURLToPath(new URL('../dist/bin', import.meta.url)) },
    reference: { type: 'string', default: '/usr/lib/cni' },
    json: { type: 'string' },
    into: { type: 'string' },
  },
});

const n = Number(values.n);
if (!Number.isInteger(n) || n < 1) stop(`--n ${values.n}: expected a whole number above 0`);
const chosen = values.only
  .split(',')
  .flatMap((name) => (name === 'plots' ? plots.map((each) => each.name) : [name]))
  .map((name) => EXPERIMENTS.find((experiment) => experiment.name === name) ?? unknown(name));
const reference: Side = { name: 'reference', plugins: resolve(values.reference) };
const netloom: Side = { name: 'netloom', plugins: resolve(values.plugins) };
const hint = { reference: 'Debian package containernetworking-plugins', netloom: 'npm run build' };
for (const { name, plugins } of [reference, netloom]) {
  if (!existsSync(join(plugins, 'bridge'))) stop(`there is no "bridge" in ${plugins}: ${hint[name]}`);
}

// npm puts node_modules/.bin first. There, @vercel/nft, a dependency of AVA, would hide nftables' nft.
process.env['PATH'] = `/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`;
becomeHost();
const root = makeRoot();
const inMemory = mountRun(root.path);
try {
  const programs = join(root.path, 'programs');
  mkdirSync(programs);
  const launcher = new Launcher(programs);
  const about = surroundings(reference.plugins, root.path);
  const head = [
    `netloom ${about.netloom} against ${about.reference}, n = ${n}, ${about.date.slice(0, 10)}`,
    `Linux ${about.kernel}, ${about.cpus} × ${about.cpu}, leases on ${about.fileSystem}`,
  ];
  console.log(`${head.join('\n')}\n`);

  const empty = summarize(Array.from({ length: Math.max(n, 40) }, () => launcher.execute(launcher.empty).time));
  const reports = new Map<string, Report>();
  for (const { name, about, run } of chosen) {
    process.stderr.write(`${name}: ${about}\n`);
    reports.set(name, await run({ launcher, root: root.path, n, reference, netloom, empty }));
  }
  const floor = `Floor, an empty static C program: ${empty.median.toFixed(2)} ms`;
  console.log(asText([...reports.values()]), `\n${floor}`);
  if (values.json !== undefined) {
    const figures = Object.fromEntries([...reports].map(([name, report]) => [name, report.figures]));
    writeFileSync(values.json, `${JSON.stringify({ ...about, n, empty, experiments: figures }, null, 2)}\n`);
  }
  if (values.into !== undefined) {
    fill(values.into, [`${head.join('. ')}.`, asMarkdown([...reports.values()]), `${floor}.`].join('\n\n'));
  }
} finally {
  inMemory[Symbol.dispose]();
  root.remove();
}

function unknown(name: string): never {
  return stop(`--only ${name}: expected one of ${EXPERIMENTS.map((experiment) => experiment.name).join(', ')}`);
}

/** Replaces the text between the two marks. */
function fill(file: string, text: string): void {
  const [begin, end] = ['<!-- bench -->', '<!-- /bench -->'];
  const old = readFileSync(file, 'utf8');
  const [from, to] = [old.indexOf(begin), old.indexOf(end)];
  if (from < 0 || to < from) stop(`--into ${file}: expected the marks ${begin} and ${end} in it`);
  writeFileSync(file, `${old.slice(0, from + begin.length)}\n${text}\n${old.slice(to)}`);
}

function stop(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(2);
}
