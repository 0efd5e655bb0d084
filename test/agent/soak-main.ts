/**
 * `npm run soak`: 20,000 calls at concurrency 16 while agents and shims are killed at random, in a private network
 * namespace.
 *
 *   --calls N  --concurrency N  --seed N
 *
 * The kernel also decides the order of events, so a seed repeats the decisions, not the run.
 */
import { parseArgs } from 'node:util';
import { becomeHost } from '../support/host.ts';
import { Lab } from '../support/lab.ts';
import { hostOf, leftFiles, usedHost } from './remains.ts';
import { soak } from './soak.ts';

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '20000' },
    concurrency: { type: 'string', default: '16' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
  },
});
const [calls = 0, concurrency = 0, seed = 0] = [values.calls, values.concurrency, values.seed].map(Number);
if (![calls, concurrency].every((value) => Number.isInteger(value) && value > 0) || !Number.isInteger(seed)) {
  console.error('soak: --calls and --concurrency are whole numbers above 0, --seed is one');
  process.exit(2);
}

// npm puts node_modules/.bin first. There, @vercel/nft, a dependency of AVA, would hide nftables' nft.
process.env['PATH'] = `/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`;
becomeHost();
const ends: (() => unknown)[] = [];
const t = { teardown: (end: () => unknown) => void ends.unshift(end) };
const lab = new Lab(t);
try {
  console.log(`soak: ${calls} calls, ${concurrency} at once, --seed ${seed}`);
  const before = usedHost(lab);
  const begin = performance.now();
  const report = await soak(t, lab, { calls, concurrency, seed, progress: (line) => console.log(line) });
  const took = ((performance.now() - begin) / 1000).toFixed(0);
  const { again, shimsKilled, agentsKilled, agentsEnded, wrong } = report;
  console.log(
    `${report.calls} calls in ${took} s: ${again} repeated, ${shimsKilled} shims and ${agentsKilled} agents killed, ${agentsEnded} agents succeeded or ended`,
  );
  const left = leftFiles(lab);
  const after = hostOf(lab);
  for (const fault of wrong) console.error(`wrong: ${fault}`);
  for (const file of left) console.error(`left behind: ${file}`);
  if (after !== before) console.error(`the host is not as it was. Before:\n${before}\nAfter:\n${after}`);
  const isClean = wrong.length === 0 && left.length === 0 && after === before;
  console.log(isClean ? 'nothing is left behind' : `failed; --seed ${seed}`);
  process.exitCode = isClean ? 0 : 1;
} finally {
  for (const end of ends) await end();
}
