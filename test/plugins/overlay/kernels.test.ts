/**
 * The overlay in short, for kernels that may answer differently: two machines, a container on each, in each mode; and three with agents that are in all modes at once. The whole is in the
 * other files of this folder.
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { becomeHost } from '../../support/host.ts';
import { untilAsync } from '../../support/until-async.ts';
import { Cluster, type Container, type Machine, tunnelOf } from './cluster.ts';
import { EtcdStore } from './etcd-store.ts';
import { DirectoryStore } from './shared-store.ts';
import { wiring } from './wiring.ts';

becomeHost();

for (const [mode, family] of [
  ['l3', 4],
  ['l2', 6],
  ['direct', 4],
] as const) {
  test.serial(
    `${mode} over IPv${family}: two containers reach each other, what was removed is back, nothing is left`,
    async (t) => {
      const cluster = new Cluster(t, { count: 2, family });
      const [one, two] = cluster.machines;
      if (one === undefined || two === undefined) throw new Error('there are two');
      const conf = cluster.conf({ mode });
      const before = cluster.snapshot(one);
      const [first, second] = [cluster.add(one, 'c1', conf), cluster.add(two, 'c2', conf)];
      const mtu = first.result.interfaces?.[0]?.mtu ?? 0;
      t.deepEqual(await cluster.gaps([first, second], '-M', '-b', `${mtu - 28}`), []);

      const whole = wiring(one);
      const tunnel = tunnelOf(one.sandbox)?.ifname;
      one.sandbox.run('bash', '-c', tunnel === undefined ? 'ip route flush proto 111' : `ip link del ${tunnel}`);
      t.not(wiring(one), whole);
      const third = cluster.add(one, 'c3', conf);
      t.deepEqual(cluster.check(one, first, conf), {} as never);
      t.deepEqual(await cluster.gaps([first, second, third]), []);

      for (const each of [first, third]) cluster.del(one, each, conf);
      t.is(cluster.snapshot(one), before);
    },
  );
}

const MODES = ['l3', 'l2', 'direct'] as const;
/** How long an agent may take to carry something over, in seconds: in a guest all is slow. */
const PATIENCE = 120;

for (const store of ['file', 'etcd'] as const) {
  test.serial(
    `agents, nodes in ${store}: in each mode three machines are joined, one moves, a tunnel is removed`,
    async (t) => {
      t.timeout(10 * 60_000);
      const cluster = new Cluster(t);
      const [one, two] = cluster.machines;
      if (one === undefined || two === undefined) throw new Error('there are three');
      if (store === 'etcd') {
        execFileSync('ip', ['addr', 'add', `${cluster.addressOn(1)}/24`, 'dev', 'under0']);
        cluster.shared = await EtcdStore.start(t, cluster.lab.root, cluster.addressOn(1));
      }
      const networks = MODES.map((mode, i) => {
        const shared = store === 'etcd' ? cluster.shared : new DirectoryStore(cluster.lab.root, mode);
        const more = { name: mode, mode, subnet: `10.${96 + i}.0.0/16`, store: shared.conf };
        return { mode, conf: (machine: Machine) => cluster.sharedConf(machine, more) };
      });
      for (const machine of cluster.machines) {
        for (const { conf } of networks) cluster.conflist(machine, conf(machine));
      }
      const [{ conf: anyConf } = { conf: () => ({}) }] = networks;
      await Promise.all(cluster.machines.map((machine) => cluster.agent(t, machine, anyConf(machine))));
      const containers = networks.map(({ mode, conf }) =>
        cluster.machines.map((machine) => cluster.add(machine, `${machine.name}${mode}`, conf(machine))),
      );
      const allReach = (what: string) =>
        untilAsync(
          what,
          async () => {
            const gaps: string[] = [];
            for (const each of containers) gaps.push(...(await cluster.gaps(each, '-M', '-b', `${payloadOf(each)}`)));
            if (gaps.length > 0) throw new Error(gaps.join(', '));
            return true;
          },
          PATIENCE,
        );
      await allReach('all reach all in each network, with the largest packet');
      const tunnels = () =>
        one.sandbox.ip<{ ifname: string }>('link', 'show', 'type', 'vxlan').map(({ ifname }) => ifname);
      t.is(tunnels().length, 2);

      cluster.move(two, two.address, cluster.addressOn(22));
      await untilAsync('where it was nobody is sought', () => !wiring(one).includes(two.address), PATIENCE);
      for (const tunnel of tunnels()) one.sandbox.run('ip', 'link', 'del', tunnel);
      await allReach('all reach all when one has moved and the tunnels of another were removed');
      t.is(tunnels().length, 2);
      for (const [i, { conf }] of networks.entries()) {
        const [container] = containers[i] ?? [];
        if (container !== undefined) t.deepEqual(cluster.check(one, container, conf(one)), {} as never);
      }
    },
  );
}

/** What is left of the largest packet without the headers of IPv4 and ICMP. */
function payloadOf([container]: readonly Container[]): number {
  return (container?.result.interfaces?.[0]?.mtu ?? 0) - 28;
}
