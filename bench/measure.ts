/** Measures one scenario: both sides in turn, so that disturbances on the machine affect both. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Sandbox } from '../test/support/host.ts';
import { callEnvironment } from './environment.ts';
import { type Bench, SIDES, type Side, type SideName } from './experiment.ts';
import type { Launcher, Timing } from './launcher.ts';
import { prefill } from './prefill.ts';
import { configurations, type Plugin, type Scenario } from './scenario.ts';
import { round, type Summary, summarize } from './statistics.ts';
import { measureYardsticks, type Yardsticks } from './yardstick.ts';

export const VERBS = ['ADD', 'CHECK', 'DEL'] as const;
export type Verb = (typeof VERBS)[number];
export interface Outcome {
  readonly scenario: string;
  readonly verbs: Readonly<Record<Verb, Readonly<Record<SideName, Summary>> & { readonly ratio: number }>>;
  readonly yardsticks: Yardsticks;
  /** The time of the very first ADD, in ms; later ones may find things prepared. */
  readonly first: Readonly<Record<SideName, number>>;
  /** The median of an ADD's peak memory, in KB. */
  readonly memory: Readonly<Record<SideName, number>>;
}

const WARM_UP = 2;

/** @param warmUp netloom's rounds before the measurement; the reference, a new process each time, has at most two */
export function measure(bench: Bench, scenario: Scenario, warmUp = WARM_UP): Outcome {
  const { launcher, root, n } = bench;
  const sides = SIDES.map((name) => bench[name]);
  const dataDir = (side: Side) => join(root, scenario.name, side.name);
  for (const side of sides) prefill(dataDir(side), scenario.name, scenario.leases);
  // Write out the leases now, and not while the clock runs.
  execFileSync('sync');

  const times = bySide(() => ({ ADD: [] as number[], CHECK: [] as number[], DEL: [] as number[] }));
  const memory = bySide(() => [] as number[]);
  const first = bySide(() => Number.NaN);
  // Remove all of them at the end: the kernel removes a namespace in the background, and holds the lock that an ADD
  // needs.
  const sandboxes: Sandbox[] = [];
  // The rounds before the measurement share a namespace: removing some hundred of them takes longer than their calls.
  const warm = bySide((name) => new Sandbox(root, `${scenario.name}-${name}-warm`));
  sandboxes.push(...Object.values(warm));

  for (let round = -warmUp; round < n; round++) {
    // A B, B A: neither side always comes second.
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      if (round < -WARM_UP && side.name === 'reference') continue;
      const sandbox = round < 0 ? warm[side.name] : new Sandbox(root, `${scenario.name}-${side.name}-${round}`);
      if (round >= 0) sandboxes.push(sandbox);
      const run = cycle(launcher, root, side, configurations(scenario, dataDir(side)), sandbox);
      if (Number.isNaN(first[side.name])) first[side.name] = run.ADD.time;
      if (round < 0) continue;
      for (const verb of VERBS) times[side.name][verb].push(run[verb].time);
      memory[side.name].push(run.ADD.memory);
    }
  }
  spawnSync('nft', ['flush', 'ruleset']);
  const yardsticks = measureYardsticks(bench, scenario, sandboxes);
  spawnSync('ip', ['link', 'del', 'bench0']);
  removeSandboxes(sandboxes);

  const verb = (name: Verb) => {
    const reference = summarize(times.reference[name]);
    const netloom = summarize(times.netloom[name]);
    return { reference, netloom, ratio: round(netloom.median / reference.median) };
  };
  return {
    scenario: scenario.name,
    verbs: { ADD: verb('ADD'), CHECK: verb('CHECK'), DEL: verb('DEL') },
    yardsticks,
    first: { reference: round(first.reference), netloom: round(first.netloom) },
    memory: { reference: summarize(memory.reference).median, netloom: summarize(memory.netloom).median },
  };
}

/** ADD, CHECK and DEL of one container, in a fresh namespace. */
function cycle(launcher: Launcher, root: string, side: Side, chain: readonly Plugin[], sandbox: Sandbox) {
  const call = (command: Verb, plugin: Plugin, prevResult?: unknown) =>
    launcher.execute(
      join(side.plugins, plugin.type),
      callEnvironment(side, root, command, sandbox),
      JSON.stringify(prevResult === undefined ? plugin : { ...plugin, prevResult }),
    );
  let result: unknown;
  const ADD = together(
    chain.map((plugin) => {
      const timing = call('ADD', plugin, result);
      result = JSON.parse(timing.stdout);
      return timing;
    }),
  );
  // If a container has no IPv6 address, the reference portmap looks for IPv6 rules all the same, and fails.
  const checked = chain.filter(({ type }) => type !== 'portmap');
  const CHECK = together(checked.map((plugin) => call('CHECK', plugin, result)));
  const DEL = together(chain.toReversed().map((plugin) => call('DEL', plugin, result)));
  return { ADD, CHECK, DEL };
}

/** The total time of a chain's processes, and their highest peak memory. */
function together(timings: readonly Timing[]): Pick<Timing, 'time' | 'memory'> {
  return {
    time: timings.reduce((sum, { time }) => sum + time, 0),
    memory: Math.max(...timings.map(({ memory }) => memory)),
  };
}

/** Returns when the kernel has removed the last of them, with both ends of its veth. */
export function removeSandboxes(sandboxes: readonly Sandbox[]): void {
  const last = sandboxes.at(-1);
  if (last === undefined) return;
  execFileSync('ip', ['link', 'add', 'canary', 'type', 'veth', 'peer', 'name', 'canary', 'netns', last.path]);
  for (const sandbox of sandboxes) sandbox[Symbol.dispose]();
  while (spawnSync('ip', ['link', 'show', 'canary']).status === 0) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
}

function bySide<T>(make: (name: SideName) => T): Record<SideName, T> {
  return { reference: make('reference'), netloom: make('netloom') };
}
