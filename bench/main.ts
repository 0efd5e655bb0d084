/**
 * `npm run bench`: whole-process ADD, CHECK and DEL of netloom's plugins against the reference plugins, in a private network
 * namespace.
 *
 *   --n N            measurements of each verb and side (40)
 *   --only NAME      one scenario, or several with commas
 *   --plugins DIR    in place of dist/bin
 *   --reference DIR  in place of /usr/lib/cni
 *   --json FILE      the figures as one JSON document
 *
 * Leases are kept below TMPDIR: what writing them costs depends on its file system, which is printed.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { becomeHost, makeRoot } from '../test/support/host.ts';
import { Launcher } from './launcher.ts';
import { measure, type Outcome, type Side } from './measure.ts';
import { printOutcomes } from './report.ts';
import { SCENARIOS } from './scenarios.ts';
import { summarize } from './statistics.ts';
import { surroundings } from './surroundings.ts';

const { values } = parseArgs({
  options: {
    n: { type: 'string', default: '40' },
    only: { type: 'string', default: SCENARIOS.map(({ name }) => name).join(',') },
    plugins: { type: 'string', default: fileURLToPath(new URL('../dist/bin', import.meta.url)) },
    reference: { type: 'string', default: '/usr/lib/cni' },
    json: { type: 'string' },
  },
});

const n = Number(values.n);
if (!Number.isInteger(n) || n < 1) stop(`--n ${values.n}: expected a whole number above 0`);
const chosen = values.only
  .split(',')
  .map((name) => SCENARIOS.find((scenario) => scenario.name === name) ?? unknown(name));
const reference: Side = { name: 'reference', plugins: resolve(values.reference) };
const netloom: Side = { name: 'netloom', plugins: resolve(values.plugins) };
const hint = { reference: 'Debian package containernetworking-plugins', netloom: 'npm run build' };
for (const { name, plugins } of [reference, netloom]) {
  if (!existsSync(join(plugins, 'bridge'))) stop(`there is no "bridge" in ${plugins}: ${hint[name]}`);
}

// npm puts node_modules/.bin first, where AVA's dependency @vercel/nft would hide nftables' nft.
process.env['PATH'] = `/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`;
becomeHost();
const root = makeRoot();
try {
  const programs = join(root.path, 'programs');
  mkdirSync(programs);
  const launcher = new Launcher(programs);
  const about = surroundings(reference.plugins, root.path);
  console.log(`netloom ${about.netloom} against ${about.reference}, n = ${n}`);
  console.log(`Linux ${about.kernel}, ${about.cpus} × ${about.cpu}, leases on ${about.fileSystem}\n`);

  const empty = summarize(Array.from({ length: Math.max(n, 40) }, () => launcher.execute(launcher.empty).time));
  const outcomes: Outcome[] = [];
  for (const scenario of chosen) {
    process.stderr.write(`${scenario.name}: ${scenario.about}\n`);
    outcomes.push(measure(launcher, root.path, [reference, netloom], scenario, n));
  }
  printOutcomes(outcomes, empty);
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ ...about, n, empty, outcomes }, null, 2)}\n`);
} finally {
  root.remove();
}

function unknown(name: string): never {
  return stop(`--only ${name}: expected one of ${SCENARIOS.map((scenario) => scenario.name).join(', ')}`);
}

function stop(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(2);
}
