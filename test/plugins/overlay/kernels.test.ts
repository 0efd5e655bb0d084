/**
 * A short overlay test for kernels that may answer differently: two machines with a container each, in each mode. The
 * other files in this folder have the full tests.
 */
import test from 'ava';
import { becomeHost } from '../../support/host.ts';
import { Cluster, tunnelOf } from './cluster.ts';
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
