/**
 * Three machines, each with an agent, are in networks of all modes at once: they follow a machine that moves, and
 * restore links that are removed. A short test, because it also runs on other kernels.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { becomeHost } from '../../support/host.ts';
import { until } from '../../support/until.ts';
import { Cluster, type Container, type Machine } from './cluster.ts';
import { EtcdStore } from './etcd-store.ts';
import { DirectoryStore } from './shared-store.ts';
import { wiring } from './wiring.ts';

becomeHost();

const MODES = ['l3', 'l2', 'direct'] as const;
/** How long an agent may take for a change, in seconds: everything is slow in a guest. */
const PATIENCE = 300;

for (const store of ['file', 'etcd'] as const) {
  test.serial(
    `${MODES.join(', ')}, nodes in ${store}: three machines reach each other, one moves, a tunnel of another is removed`,
    async (t) => {
      t.timeout(20 * 60_000);
      const cluster = new Cluster(t);
      const [one, two] = cluster.machines;
      if (one === undefined || two === undefined) throw new Error('there are three');
      if (store === 'etcd') await EtcdStore.serve(t, cluster);
      const networks = MODES.map((mode, i) => {
        const shared = store === 'etcd' ? cluster.shared : new DirectoryStore(cluster.lab.root, mode);
        const more = { name: mode, mode, subnet: `10.${96 + i}.0.0/16`, store: shared.conf };
        return { mode, conf: (machine: Machine) => cluster.sharedConf(machine, more) };
      });
      for (const machine of cluster.machines) {
        for (const { conf } of networks) cluster.conflist(machine, conf(machine));
      }
      const [{ conf: anyConf } = { conf: () => ({}) }] = networks;
      // One after another. If all started at once in a guest with little processor time, none would serve in time.
      for (const machine of cluster.machines) await cluster.agent(t, machine, anyConf(machine));
      if (store === 'etcd') {
        for (const { name, root } of cluster.machines) {
          const known = (mode: string) =>
            readFileSync(`${root}/var/lib/netloom/overlay/${mode}.json`, 'utf8').includes(`"${name}"`);
          await until(`${name} has joined`, () => MODES.every(known), { seconds: PATIENCE });
        }
      }
      const containers = networks.map(({ mode, conf }) =>
        cluster.machines.map((machine) => cluster.add(machine, `${machine.name}${mode}`, conf(machine))),
      );
      const allReach = (what: string) =>
        until(
          what,
          async () => {
            const gaps: string[] = [];
            for (const each of containers) gaps.push(...(await cluster.gaps(each, '-M', '-b', `${payloadOf(each)}`)));
            if (gaps.length > 0) throw new Error(gaps.join(', '));
            return true;
          },
          { seconds: PATIENCE },
        );
      await allReach('all reach all in each network, with the largest packet');
      const tunnelled = networks.filter(({ mode }) => mode !== 'direct').length;
      const tunnels = () =>
        one.sandbox.ip<{ ifname: string }>('link', 'show', 'type', 'vxlan').map(({ ifname }) => ifname);
      t.is(tunnels().length, tunnelled);

      cluster.move(two, two.address, cluster.addressOn(22));
      const seeks = (address: string) => `${wiring(one)}${one.sandbox.run('bridge', 'fdb', 'show')}`.includes(address);
      await until('where it was nobody is sought', () => !seeks(two.address), { seconds: PATIENCE });
      for (const tunnel of tunnels()) one.sandbox.run('ip', 'link', 'del', tunnel);
      await allReach('all reach all when one has moved and the tunnels of another were removed');
      t.is(tunnels().length, tunnelled);
      for (const [i, { conf }] of networks.entries()) {
        const [container] = containers[i] ?? [];
        if (container !== undefined) t.deepEqual(cluster.check(one, container, conf(one)), {} as never);
      }
    },
  );
}

/** The payload of the largest packet, without the headers of IPv4 and ICMP. */
function payloadOf([container]: readonly Container[]): number {
  return (container?.result.interfaces?.[0]?.mtu ?? 0) - 28;
}
