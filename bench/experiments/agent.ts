/** The same calls through the agent: one by one, many at once, and the agent's memory. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Sandbox } from '../../test/support/host.ts';
import { callEnvironment } from '../environment.ts';
import { type Bench, budgetCell, type Experiment, type Report, SIDES, type SideName } from '../experiment.ts';
import { Herd } from '../herd.ts';
import { measure, type Outcome, removeSandboxes } from '../measure.ts';
import { Resident } from '../resident.ts';
import { configurations, IPV4, type Plugin, type Scenario } from '../scenario.ts';
import { round, type Summary, summarize } from '../statistics.ts';
import { CHAIN } from './chain.ts';
import { table } from './lifecycle.ts';

interface Resided extends Scenario {
  readonly about: string;
  /** The upper limit for the ratio of ADD to the reference's */
  readonly budget?: number;
}

/**
 * ADDs, CHECKs and DELs before the measurement. A resident agent compiles its code while it works, according to the
 * calls that it gets. Two threads share calls that come one by one; after 200, each has seen enough.
 */
const WARM_UP = 200;
/** Rounds of many calls at once before the measurement. The reference takes part in the last two. */
const BURSTS_WARM_UP = 12;
const LEASES_BUDGET = 1.3;
const ENDPOINTS = 1_000;
const MEMORY_BUDGET = 80;

const LIFECYCLES: readonly Resided[] = [
  { name: 'agent-plain', about: 'IPv4, a gateway', plugin: {}, subnets: [IPV4], leases: 0, budget: 0.25 },
  { name: 'agent-ipmasq', about: 'with ipMasq', plugin: { ipMasq: true }, subnets: [IPV4], leases: 0, budget: 0.1 },
  { ...CHAIN, name: 'agent-chain', about: 'the chain that podman writes', budget: 0.12 },
];

const lifecycles: readonly Experiment[] = LIFECYCLES.map((scenario) => ({
  name: scenario.name,
  about: `ADD, CHECK and DEL through the agent: ${scenario.about}`,
  run: (bench) => resided(bench, () => lifecycle(bench, scenario)),
}));

const leases: Experiment = {
  name: 'agent-leases',
  about: 'ADD, CHECK and DEL through the agent with 0 and 65,000 leases',
  run: (bench) =>
    resided(bench, () => {
      const [none, full] = [0, 65_000].map((count) =>
        measure(bench, { name: `agent-leases-${count}`, plugin: {}, subnets: [IPV4], leases: count }, WARM_UP),
      ) as [Outcome, Outcome];
      const growth = round(full.verbs.ADD.netloom.median / none.verbs.ADD.netloom.median);
      return {
        heads: table(none).heads,
        rows: [none, full].flatMap((outcome) => table(outcome).rows),
        notes: [
          `Through the agent, ADD with 65,000 leases takes ${growth.toFixed(2)} times as long as with none (budget ${LEASES_BUDGET})`,
        ],
        figures: { outcomes: [none, full], growth },
      };
    }),
};

const atOnce: Experiment = {
  name: 'agent-at-once',
  about: 'many calls at once through the agent',
  run: (bench) =>
    resided(bench, () => {
      const herd = new Herd(join(bench.root, 'programs'));
      const adds = burst(bench, herd, 16);
      const dels = burst(bench, herd, 32);
      const throughput = round(adds.ADD.reference.median / adds.ADD.netloom.median);
      const row = (what: string, { reference, netloom }: Readonly<Record<SideName, Summary>>, budget: number) => [
        what,
        'total',
        ...[reference.median, reference.p90, netloom.median, netloom.p90].map((value) => value.toFixed(1)),
        round(netloom.median / reference.median).toFixed(2),
        budgetCell(budget),
      ];
      return {
        heads: ['at once', '', 'reference ms', 'p90', 'netloom ms', 'p90', 'ratio', 'budget'],
        rows: [row('16 ADDs', adds.ADD, 0.2), row('32 ADDs', dels.ADD, 0.2), row('32 DELs', dels.DEL, 0.15)],
        notes: [`16 ADDs at once: ${throughput.toFixed(1)} times the throughput (budget 5)`],
        figures: { adds, dels, throughput },
      };
    }),
};

const memory: Experiment = {
  name: 'agent-memory',
  about: `the agent's memory with ${ENDPOINTS} endpoints`,
  run: (bench) =>
    resided(bench, async (resident) => {
      const scenario: Scenario = { name: 'memory', plugin: {}, subnets: [IPV4], leases: 0 };
      const conf = bridgeOf(scenario, join(bench.root, 'memory'));
      const sandbox = new Sandbox(bench.root, 'memory');
      const begin = resident.memory;
      // All interfaces are in one container. A namespace each would measure the kernel.
      for (let i = 0; i < ENDPOINTS; i++) add(bench, conf, sandbox, `e${i}`);
      const busy = resident.memory;
      // A thread frees what calls have left when it has been idle for a second.
      await delay(3_000);
      const end = resident.memory;
      sandbox[Symbol.dispose]();
      return {
        heads: ['agent', '', 'MB at start', `MB after ${ENDPOINTS} ADDs`, 'MB when it rests', 'budget'],
        rows: [['memory', 'PSS', begin.toFixed(0), busy.toFixed(0), end.toFixed(0), String(MEMORY_BUDGET)]],
        figures: { begin, busy, end },
      };
    }),
};

export const agent: readonly Experiment[] = [...lifecycles, leases, atOnce, memory];

async function resided(bench: Bench, run: (resident: Resident) => Report | Promise<Report>): Promise<Report> {
  const resident = await Resident.start(bench);
  try {
    return await run(resident);
  } finally {
    await resident.stop();
  }
}

function lifecycle(bench: Bench, scenario: Resided): Report {
  const outcome = measure(bench, scenario, WARM_UP);
  return { ...table(outcome, scenario.budget), figures: outcome };
}

/**
 * Runs `count` ADDs at once, then as many DELs, several times, with the sides in turn. The time runs from the moment at
 * which all may begin until the last one ends. It excludes forking them, which takes longer than the calls.
 */
function burst(bench: Bench, herd: Herd, count: number) {
  const name = `at-once-${count}`;
  const sandboxes = Array.from({ length: count }, (_, i) => new Sandbox(bench.root, `${name}-${i}`));
  const times = { ADD: bySide(), DEL: bySide() };
  const rounds = Math.max(5, Math.ceil(bench.n / 4));
  for (let i = -BURSTS_WARM_UP; i < rounds; i++) {
    for (const side of i % 2 === 0 ? SIDES : SIDES.toReversed()) {
      if (i < -2 && side === 'reference') continue;
      const scenario: Scenario = { name, plugin: {}, subnets: [IPV4], leases: 0 };
      const conf = bridgeOf(scenario, join(bench.root, name, side));
      for (const command of ['ADD', 'DEL'] as const) {
        const { plugins } = bench[side];
        const environment = callEnvironment(bench[side], bench.root, command);
        const netns = join(bench.root, 'netns', `${name}-`);
        const call = { program: join(plugins, conf.type), environment, conf, container: `${name}-`, netns };
        const all = herd.execute(call, count);
        if (i >= 0) times[command][side].push(Math.max(...all));
      }
    }
  }
  removeSandboxes(sandboxes);
  const both = (of: Record<SideName, number[]>) => ({
    reference: summarize(of.reference),
    netloom: summarize(of.netloom),
  });
  return { ADD: both(times.ADD), DEL: both(times.DEL) };
}

function bridgeOf(scenario: Scenario, dataDir: string): Plugin {
  const [bridge] = configurations(scenario, dataDir);
  if (bridge === undefined) throw new Error('a scenario begins with bridge');
  return bridge;
}

function bySide(): Record<SideName, number[]> {
  return { reference: [], netloom: [] };
}

function add({ launcher, netloom, root }: Bench, conf: Plugin, sandbox: Sandbox, ifname: string): void {
  const environment = callEnvironment(netloom, root, 'ADD', sandbox, ifname);
  launcher.execute(join(netloom.plugins, conf.type), environment, JSON.stringify(conf));
}
