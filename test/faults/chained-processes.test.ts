/**
 * Sixty containers come and go at once. Each goes through a chain of bridge, tuning, bandwidth and sbr, and each call
 * is a process of its own.
 */
import { existsSync, readdirSync } from 'node:fs';
import test from 'ava';
import { becomeHost, ip, type Sandbox } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Output } from '../support/lab.ts';

becomeHost();

const COUNT = 60;

const limits = { ingressRate: 8e6, ingressBurst: 8e6, egressRate: 8e6, egressBurst: 8e6 };
const chain: readonly Json[] = [
  bridgeConf(),
  { type: 'tuning', mtu: 1400, promisc: true, sysctl: { 'net.core.somaxconn': '77' } },
  { type: 'bandwidth', ...limits, unshapedSubnets: ['10.9.0.0/16'] },
  { type: 'sbr' },
].map((plugin) => ({ cniVersion: '1.1.0', name: 'net', ...plugin }));

interface Container {
  readonly sandbox: Sandbox;
  result?: Output;
}

/** Runs one verb through the whole chain, plugin by plugin. Each plugin gets the result of the one before. */
async function all(lab: Lab, command: 'ADD' | 'CHECK' | 'DEL', containers: readonly Container[]): Promise<void> {
  await Promise.all(
    containers.map(async (container) => {
      for (const conf of command === 'DEL' ? chain.toReversed() : chain) {
        const { sandbox, result } = container;
        const end = await lab.start(command, { ...conf, ...(result && { prevResult: result }) }, { sandbox });
        if (end.status !== 0) throw new Error(`${command} of ${conf['type']}: ${end.stdout}${end.stderr}`);
        if (command === 'ADD') container.result = end.output;
      }
    }),
  );
}

const ifbs = () => ip<{ ifname: string }>('link').filter(({ ifname }) => ifname.startsWith('ifb')).length;
const records = (lab: Lab) => {
  const directory = `${lab.root}/run/cni/tuning`;
  return existsSync(directory) ? readdirSync(directory).length : 0;
};

test.serial(`${COUNT} chains at once: each is whole, and everything is gone at the end`, async (t) => {
  t.timeout(240_000);
  const lab = new Lab(t);
  await all(lab, 'ADD', [{ sandbox: lab.sandbox('neighbour') }]);
  const before = lab.snapshot();
  const containers: Container[] = Array.from({ length: COUNT }, (_, i) => ({ sandbox: lab.sandbox(`c${i}`) }));
  await all(lab, 'ADD', containers);
  t.is(new Set(containers.map(({ result }) => result?.ips?.[0]?.address)).size, COUNT);
  t.deepEqual([ifbs(), records(lab)], [COUNT + 1, COUNT + 1]);
  await all(lab, 'CHECK', containers);
  // Half of the containers go while the other half is checked. Then the first half comes again.
  const [first, second] = [containers.slice(0, COUNT / 2), containers.slice(COUNT / 2)];
  await Promise.all([all(lab, 'DEL', first), all(lab, 'CHECK', second)]);
  t.deepEqual([ifbs(), records(lab)], [COUNT / 2 + 1, COUNT / 2 + 1]);
  for (const container of first) delete container.result;
  await Promise.all([all(lab, 'ADD', first), all(lab, 'DEL', second)]);
  await all(lab, 'CHECK', first);
  await all(lab, 'DEL', first);
  t.deepEqual([ifbs(), records(lab)], [1, 1]);
  t.is(lab.snapshot(), before);
  for (const { sandbox } of containers) t.is(sandbox.ip('link').length, 1);
});
