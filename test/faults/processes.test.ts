/**
 * Two hundred containers come and go at once, and each call is a process of its own, as on a node that boots or is
 * drained.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import test from 'ava';
import { becomeHost } from '../support/host.ts';
import { bridgeConf, type End, Lab, type Output, type Target } from '../support/lab.ts';

becomeHost();

const COUNT = 200;

const conf = bridgeConf({
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/23' }], [{ subnet: 'fd00::/64' }]] },
});

test.serial(
  '200 processes at once: no address twice, no lost lease, no deadlock, and everything gone at the end',
  async (t) => {
    t.timeout(240_000);
    const lab = new Lab(t);
    lab.add(conf, { sandbox: lab.sandbox('neighbour') });
    const before = lab.snapshot();
    const targets = Array.from({ length: COUNT }, (_, i) => ({ sandbox: lab.sandbox(`c${i}`) }));
    const memory = lowestMemory();

    const added = await all(lab, 'ADD', targets);
    const results = added.map(({ output }) => output);
    t.deepEqual(added.map(({ stderr }) => stderr).filter(Boolean), []);
    const addresses = results.flatMap(({ ips = [] }) => ips.map(({ address }) => address));
    t.is(addresses.length, 2 * COUNT);
    t.is(new Set(addresses).size, 2 * COUNT);
    t.deepEqual(leases(lab), leasesOf(results));
    t.is(elements(lab), 2 * (COUNT + 1));

    await all(lab, 'CHECK', targets, results);
    await all(lab, 'DEL', targets, results);
    t.is(lab.snapshot(), before);
    t.deepEqual(
      targets.flatMap(({ sandbox }) => sandbox.ip('link')).map((link) => link['ifname']),
      targets.map(() => 'lo'),
    );
    t.log(`${Math.round(memory.stop() / COUNT / (1 << 20))} MB of memory a process at the most`);
  },
);

test.serial(
  '200 processes at once, some adding and some deleting: each container ends as its last call says',
  async (t) => {
    t.timeout(240_000);
    const lab = new Lab(t);
    lab.add(conf, { sandbox: lab.sandbox('neighbour') });
    const before = lab.snapshot();
    const targets = Array.from({ length: COUNT / 2 }, (_, i) => ({ sandbox: lab.sandbox(`c${i}`) }));
    // One half goes while the other half comes: addresses are freed and allocated at the same moment.
    const [first, second] = [targets.slice(0, COUNT / 4), targets.slice(COUNT / 4)];
    const old = (await all(lab, 'ADD', first)).map(({ output }) => output);
    const [gone, come] = await Promise.all([all(lab, 'DEL', first, old), all(lab, 'ADD', second)]);
    t.is(gone.length + come.length, targets.length);
    const results = come.map(({ output }) => output);
    t.deepEqual(leases(lab), leasesOf(results));
    t.is(elements(lab), 2 * (second.length + 1));
    // All at once, each with its own sequence of ADD, CHECK and DEL.
    await Promise.all([
      ...first.map(async (target) => {
        const [end] = await all(lab, 'ADD', [target]);
        await all(lab, 'CHECK', [target], end && [end.output]);
        await all(lab, 'DEL', [target]);
      }),
      ...second.map(async (target, i) => {
        const result = results[i];
        await all(lab, 'CHECK', [target], result && [result]);
        await all(lab, 'DEL', [target], result && [result]);
      }),
    ]);
    t.is(lab.snapshot(), before);
  },
);

/**
 * Calls the plugin for each target, all at the same time: none gets its configuration before the last one has been
 * started.
 */
async function all(lab: Lab, command: string, targets: readonly Target[], results?: readonly Output[]): Promise<End[]> {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const started = targets.map((target, i) => {
    const prevResult = results?.[i];
    return lab.start(command, { ...conf, ...(prevResult !== undefined && { prevResult }) }, target, { gate });
  });
  open(); // all are started and wait for their configuration
  const ends = await Promise.all(started);
  const failed = ends.find(({ status }) => status !== 0);
  if (failed !== undefined) throw new Error(`${command}: ${failed.stdout}${failed.stderr}`);
  return ends;
}

/** The leases on disk, without the neighbour's: `address container`. */
function leases(lab: Lab): string[] {
  const directory = `${lab.root}/var/lib/cni/networks/net`;
  return readdirSync(directory)
    .filter((name) => /^(10\.|fd00::)/.test(name))
    .map((name) => `${name} ${readFileSync(`${directory}/${name}`, 'utf8').replace('\r\n', ' ')}`)
    .filter((line) => !line.includes('neighbour'))
    .sort();
}

/** The leases named in results. */
function leasesOf(results: readonly Output[]): string[] {
  return results
    .flatMap(({ ips = [], interfaces = [] }) =>
      ips.map(({ address }) => `${address.replace(/\/.*/, '')} ${interfaces[2]?.sandbox?.replace(/.*\//, '')} eth0`),
    )
    .sort();
}

function elements(lab: Lab): number {
  return lab.snapshot().match(/comment "net\/\w+\/eth0"/g)?.length ?? 0;
}

/** Measures how far free memory falls from its present value. */
function lowestMemory(): { stop(): number } {
  const begin = freemem();
  let lowest = begin;
  const timer = setInterval(() => {
    lowest = Math.min(lowest, freemem());
  }, 20);
  return {
    stop() {
      clearInterval(timer);
      return begin - lowest;
    },
  };
}
