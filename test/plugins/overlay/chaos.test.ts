/** 200 random events in the life of a cluster. In the end each machine's kernel has what follows from the store, and nothing is left of those that left. */
import test from 'ava';
import { until } from '../../runtimes/until.ts';
import { becomeHost } from '../../support/host.ts';
import { Chaos } from './chaos.ts';
import { Cluster } from './cluster.ts';

becomeHost();

const EVENTS = 200;
/** How many events lie between two looks at the whole. */
const BETWEEN = 40;
const MODES = ['l3', 'l2', 'direct'] as const;

/** For conditions that nothing ends before they hold. */
const never = new Promise<string>(() => {});

test.serial(
  `${EVENTS} random events: what is follows from the store on every machine, and all reach all`,
  async (t) => {
    t.timeout(15 * 60_000);
    const seed = Number(process.env['NETLOOM_CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
    const mode = MODES[seed % MODES.length] ?? 'l3';
    t.log(`NETLOOM_CHAOS_SEED=${seed}, ${mode}`);
    const chaos = new Chaos(t, new Cluster(t, { count: 0 }), mode, seed);
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
  },
);

async function settled(chaos: Chaos, events: number): Promise<void> {
  try {
    await until('all is as it should be', () => chaos.differences().length === 0, never);
  } catch (cause) {
    throw new Error(`after ${events} events:\n${chaos.differences().join('\n')}`, { cause });
  }
}
