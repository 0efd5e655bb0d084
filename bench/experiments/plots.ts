/**
 * Two plots for docs/performance.md: how long an ADD takes when many come at once, and when many endpoints exist
 * already. They have three sides: the reference, netloom by itself (the shim finds no agent), and netloom's agent.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Sandbox } from '../../test/support/host.ts';
import { callEnvironment } from '../environment.ts';
import type { Bench, Experiment, Report } from '../experiment.ts';
import { Herd } from '../herd.ts';
import { removeSandboxes } from '../measure.ts';
import { type Plot, type Series, svgOf } from '../plot.ts';
import { Resident } from '../resident.ts';
import { mountRun } from '../run-directory.ts';
import { configurations, IPV4 } from '../scenario.ts';
import { summarize } from '../statistics.ts';
import { surroundings } from '../surroundings.ts';

const PLOTS = fileURLToPath(new URL('../../docs/plots', import.meta.url));

const AT_ONCE = [1, 2, 4, 8, 16, 32, 64] as const;
const ENDPOINTS = [0, 10, 100, 300, 1000] as const;
/** How many calls come before the measurement: the agent interprets its code until it is worth compiling. */
const WARM_UP = 50;

interface PlotSide {
  readonly name: string;
  readonly plugins: string;
  /** NETLOOM_ROOT. An agent serves in only one of them. */
  readonly root: string;
}

/** The figures of each side: x, and the median of the calls. */
type Figures = readonly Series[];

const atOnce: Experiment = {
  name: 'plot-at-once',
  about: 'ADD with 1 to 64 at once, as a plot',
  isApart: true,
  run: (bench) =>
    plotted(bench, 'latency-at-once.svg', {
      title: 'ADD of bridge with ipMasq: latency by calls at once',
      x: 'calls at once',
      y: 'ms until a call has ended, median',
      measure: (sides) => concurrency(bench, sides),
    }),
};

const endpoints: Experiment = {
  name: 'plot-endpoints',
  about: 'ADD with 0 to 1,000 endpoints on the bridge, as a plot',
  isApart: true,
  run: (bench) =>
    plotted(bench, 'latency-endpoints.svg', {
      title: 'ADD of bridge with ipMasq: latency by endpoints that are there',
      x: 'endpoints on the bridge',
      y: 'ms, median',
      measure: (sides) => population(bench, sides),
    }),
};

export const plots: readonly Experiment[] = [atOnce, endpoints];

interface Drawing {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  measure(sides: readonly PlotSide[]): Figures | Promise<Figures>;
}

async function plotted(bench: Bench, file: string, { title, x, y, measure }: Drawing): Promise<Report> {
  const sides: readonly PlotSide[] = [
    { name: 'reference', plugins: bench.reference.plugins, root: join(bench.root, 'reference') },
    { name: 'netloom alone', plugins: bench.netloom.plugins, root: join(bench.root, 'alone') },
    { name: 'netloom agent', plugins: bench.netloom.plugins, root: join(bench.root, 'agent') },
  ];
  using mounts = new DisposableStack();
  for (const { root } of sides) mounts.use(mountRun(root));
  const resident = await Resident.start({ ...bench, root: join(bench.root, 'agent') });
  try {
    const series = await measure(sides);
    const { kernel, cpus, cpu, date, reference } = surroundings(bench.reference.plugins, bench.root);
    const caption = [`n = ${bench.n}, ${reference}, ${date.slice(0, 10)}`, `Linux ${kernel}, ${cpus} × ${cpu}`];
    write(file, { title, caption, x, y, series });
    return { ...table(x, series), figures: series };
  } finally {
    await resident.stop();
  }
}

function write(file: string, plot: Plot): void {
  mkdirSync(PLOTS, { recursive: true });
  writeFileSync(join(PLOTS, file), svgOf(plot));
}

/** A row for each x and a column for each side. */
function table(x: string, series: Figures): Pick<Report, 'heads' | 'rows'> {
  const xs = series[0]?.points.map(([value]) => value) ?? [];
  const cell = ({ points }: Series, i: number) => points[i]?.[1].toFixed(2) ?? '';
  return {
    heads: [x, '', ...series.map(({ name }) => `${name} ms`)],
    rows: xs.map((value, i) => [String(value), 'ADD', ...series.map((each) => cell(each, i))]),
  };
}

/** Runs ADDs at once, then as many DELs, several times, with the sides in turn. */
function concurrency(bench: Bench, sides: readonly PlotSide[]): Figures {
  const herd = new Herd(join(bench.root, 'programs'));
  const most = Math.max(...AT_ONCE);
  const sandboxes = Array.from({ length: most }, (_, i) => new Sandbox(bench.root, `herd${i}`));
  const netns = (sandboxes[0]?.path ?? '').replace(/0$/, '');
  const call = (side: PlotSide, command: string, count: number) =>
    herd.execute(
      {
        program: join(side.plugins, 'bridge'),
        environment: callEnvironment(side, side.root, command),
        conf: confOf(side, 'at-once'),
        container: 'herd',
        netns,
      },
      count,
    );
  for (const side of sides) {
    for (let done = 0; done < WARM_UP; done += 4) for (const command of ['ADD', 'DEL']) call(side, command, 4);
  }
  const points = new Map(sides.map(({ name }) => [name, [] as [number, number][]]));
  for (const count of AT_ONCE) {
    const times = new Map(sides.map(({ name }) => [name, [] as number[]]));
    for (let round = 0; round < Math.max(3, Math.ceil(bench.n / count)); round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        times.get(side.name)?.push(...call(side, 'ADD', count));
        call(side, 'DEL', count);
      }
    }
    for (const [name, samples] of times) points.get(name)?.push([count, summarize(samples).median]);
  }
  clean(sides);
  removeSandboxes(sandboxes);
  return [...points].map(([name, each]) => ({ name, points: each }));
}

/** Each side has the host to itself, because the rules of another would slow it down. */
async function population(bench: Bench, sides: readonly PlotSide[]): Promise<Figures> {
  const figures: Series[] = [];
  for (const side of sides) {
    figures.push({ name: side.name, points: populate(bench, side) });
    clean([side]);
    await settled();
  }
  return figures;
}

/**
 * ADDs one by one, with a growing number of endpoints. All are interfaces in one namespace; one each would measure the
 * kernel.
 */
function populate(bench: Bench, side: PlotSide): [number, number][] {
  using sandbox = new Sandbox(bench.root, `full-${side.name.replace(' ', '-')}`);
  const conf = JSON.stringify(confOf(side, 'endpoints'));
  const call = (command: string, ifname: string) => {
    const environment = {
      ...callEnvironment(side, side.root, command),
      // The reference makes a chain of iptables per container.
      CNI_CONTAINERID: `${sandbox.name}-${ifname}`,
      CNI_NETNS: sandbox.path,
      CNI_IFNAME: ifname,
    };
    return bench.launcher.execute(join(side.plugins, 'bridge'), environment, conf).time;
  };
  const one = () => {
    const time = call('ADD', 'eth0');
    call('DEL', 'eth0');
    return time;
  };
  for (let i = 0; i < WARM_UP; i++) one();
  let there = 0;
  return ENDPOINTS.map((count) => {
    for (; there < count; there++) call('ADD', `e${there}`);
    return [count, summarize(Array.from({ length: Math.ceil(bench.n / 2) }, one)).median];
  });
}

function confOf({ name, root }: PlotSide, scenario: string): Record<string, unknown> {
  const plain = { name: scenario, plugin: { ipMasq: true, bridge: bridgeOf(name) }, subnets: [IPV4], leases: 0 };
  const [conf = {}] = configurations(plain, join(root, 'leases'));
  return conf;
}

function bridgeOf(name: string): string {
  return `bench-${name.replace('netloom ', '').slice(0, 8)}`;
}

function clean(sides: readonly PlotSide[]): void {
  for (const { name } of sides) spawnSync('ip', ['link', 'del', bridgeOf(name)]);
  spawnSync('nft', ['flush', 'ruleset']);
}

/**
 * Waits until the links of a namespace that is gone have left the bridge, too. The kernel does that in the background.
 */
async function settled(): Promise<void> {
  while (spawnSync('ip', ['-o', 'link', 'show', 'type', 'veth'], { encoding: 'utf8' }).stdout !== '') await delay(50);
}
