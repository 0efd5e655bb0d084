/**
 * Clocks that are hours off, and that are set while agents run: agents go on following the store and the kernel, and no
 * live node is given up.
 */
import { spawnSync } from 'node:child_process';
import test from 'ava';
import { NETLOOM } from '../../support/command.ts';
import { becomeHost } from '../../support/host.ts';
import { until } from '../../support/until.ts';
import { WallClock } from '../../support/wall-clock.ts';
import { Cluster, tunnelOf } from './cluster.ts';
import { EtcdStore } from './etcd-store.ts';

becomeHost();

const STORES = ['file', 'etcd'] as const;

for (const store of STORES) {
  test.serial(
    `nodes in ${store}: the clock of one is set forward and back by hours, that of another is behind`,
    async (t) => {
      const cluster = new Cluster(t);
      const [one, two, three] = cluster.machines;
      if (one === undefined || two === undefined || three === undefined) throw new Error('there are three');
      if (store === 'etcd') await EtcdStore.serve(t, cluster);
      const clocks = [one, two].map(({ name }) => new WallClock(cluster.lab.root, name));
      const [first, second] = clocks;
      if (first === undefined || second === undefined) throw new Error('there are two');
      second.set(-5);
      await cluster.agent(t, one, cluster.sharedConf(one), first.environment);
      await cluster.agent(t, two, cluster.sharedConf(two), second.environment);
      const [a, b] = [one, two].map((machine) => cluster.add(machine, `${machine.name}a`, cluster.sharedConf(machine)));
      if (a === undefined || b === undefined) throw new Error('there are two');
      const meet = (what: string, ...addresses: string[]) =>
        until(what, () => cluster.unreached(a, addresses, '-W 1').length === 0);
      await meet('they reach each other', b.address);

      first.set(7);
      await cluster.agent(t, three, cluster.sharedConf(three));
      const c = cluster.add(three, 'n3a', cluster.sharedConf(three));
      await meet('who joins is reached', b.address, c.address);

      first.set(-11);
      cluster.move(two, two.address, cluster.addressOn(22));
      await meet('who moves is reached', b.address, c.address);
      one.sandbox.run('ip', 'link', 'del', tunnelOf(one.sandbox)?.ifname ?? '');
      await meet('the tunnel is back, whole', b.address, c.address);

      // The machine that asks has a clock that is ahead by more than the grace period.
      first.set(7);
      const environment = { ...process.env, ...first.environment, NETLOOM_ROOT: one.root };
      const netloom = (...args: string[]) =>
        spawnSync('nsenter', [`--net=${one.sandbox.path}`, NETLOOM, 'overlay', ...args], {
          env: environment,
          encoding: 'utf8',
        });
      const peers = JSON.parse(netloom('peers', '--json').stdout) as { node: string; secondsSinceSeen: number }[];
      t.deepEqual(peers.map(({ node }) => node).sort(), ['n1', 'n2', 'n3']);
      t.true(
        peers.every(({ secondsSinceSeen }) => secondsSinceSeen < 600),
        JSON.stringify(peers),
      );
      const reclaim = netloom('reclaim', 'net', 'n2', '--grace', '3600');
      t.regex(reclaim.stderr, /"n2": it was seen \d+ s ago, expected 3600 s of silence/, reclaim.stdout);
      t.deepEqual(cluster.check(one, a, cluster.sharedConf(one)), {} as never);
    },
  );
}
