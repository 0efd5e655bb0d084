/**
 * 200 random events in the life of a cluster. In the end each machine's kernel has exactly what follows from the store,
 * and nothing is left of machines that left.
 */
import test, { type ExecutionContext } from 'ava';
import { becomeHost } from '../../support/host.ts';
import { until } from '../../support/until.ts';
import { Chaos } from './chaos.ts';
import { Cluster } from './cluster.ts';
import { EtcdStore } from './etcd-store.ts';

becomeHost();

const EVENTS = 200;
/** How many events come between two checks of everything. */
const BETWEEN = 40;
/** How long the cluster may take to settle, in seconds. */
const SETTLING = 180;
const MODES = ['l3', 'l2', 'direct'] as const;

const STORES: Readonly<Record<string, (t: ExecutionContext, cluster: Cluster) => Promise<void>>> = {
  file: async () => {}, // the default of a cluster
  etcd: EtcdStore.serve,
};

for (const [name, useStore] of Object.entries(STORES)) {
  const title = `${EVENTS} random events, nodes in ${name}: what is follows from the store on every machine, and all reach all`;
  test.serial(title, async (t) => {
    t.timeout(15 * 60_000);
    const seed = Number(process.env['NETLOOM_CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
    const mode = MODES[seed % MODES.length] ?? 'l3';
    t.log(`NETLOOM_CHAOS_SEED=${seed}, ${mode}`);
    const cluster = new Cluster(t, { count: 0 });
    await useStore(t, cluster);
    const chaos = new Chaos(t, cluster, mode, seed);
    try {
      await chaos.start();
      for (let i = 1; i <= EVENTS; i++) {
        await chaos.step();
        if (i % BETWEEN !== 0) continue;
        await chaos.calm();
        await settled(chaos, i);
        t.deepEqual(await chaos.gaps(), [], `after ${i} events`);
        t.deepEqual(chaos.complaints(), [], `after ${i} events`);
      }
    } catch (error) {
      t.log(chaos.trace.join('\n'));
      throw error;
    }
  });
}

async function settled(chaos: Chaos, events: number): Promise<void> {
  await until(
    `all is as it should be after ${events} events`,
    async () => {
      const differences = await chaos.differences();
      if (differences.length > 0) throw new Error(differences.join('\n'));
      return true;
    },
    { seconds: SETTLING },
  );
}
