/** Measures one scenario: both sides in turn, so that whatever the machine does in between falls on both. */
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
  /** The first ADD of all in ms: what the next ones may find prepared. */
  readonly first: Readonly<Record<SideName, number>>;
  /** Peak memory of an ADD in KB, the median. */
  readonly memory: Readonly<Record<SideName, number>>;
}

const WARM_UP = 2;

/**
 * @param warmUp rounds of netloom's before the ones that count; the reference, a process each time, has no more than
 * two
 */
export function measure(bench: Bench, scenario: Scenario, warmUp = WARM_UP): Outcome {
  const { launcher, root, n } = bench;
  const sides = SIDES.map((name) => bench[name]);
  const dataDir = (side: Side) => join(root, scenario.name, side.name);
  for (const side of sides) prefill(dataDir(side), scenario.name, scenario.leases);
  // What filling left to be written must not be written while the clock runs.
  execFileSync('sync');

  const times = bySide(() => ({ ADD: [] as number[], CHECK: [] as number[], DEL: [] as number[] }));
  const memory = bySide(() => [] as number[]);
  const first = bySide(() => Number.NaN);
  // Removed all at the end: the kernel takes a namespace down in the background, holding the lock that an ADD needs.
  const sandboxes: Sandbox[] = [];
  // Those before the ones that count share one: taking some hundred namespaces down takes longer than their calls.
  const warm = bySide((name) => new Sandbox(root, `${scenario.name}-${name}-warm`));
  sandboxes.push(...Object.values(warm));

  for (let round = -warmUp; round < n; round++) {
    // A B, B A: neither side is always the one after the other.
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
  // Where a container has no IPv6 address, the reference's portmap looks for rules of IPv6 all the same, and fails.
  const checked = chain.filter(({ type }) => type !== 'portmap');
  const CHECK = together(checked.map((plugin) => call('CHECK', plugin, result)));
  const DEL = together(chain.toReversed().map((plugin) => call('DEL', plugin, result)));
  return { ADD, CHECK, DEL };
}

/** What the processes of a chain took, one after the other. */
function together(timings: readonly Timing[]): Pick<Timing, 'time' | 'memory'> {
  return {
    time: timings.reduce((sum, { time }) => sum + time, 0),
    memory: Math.max(...timings.map(({ memory }) => memory)),
  };
}

/** Returns when the kernel has taken the last one down: its end of a pair of links takes the other end along. */
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
