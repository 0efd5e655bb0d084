/**
 * The cost of an overlay on the wire: between containers of two machines, in each mode, compared with the path between
 * the machines themselves.
 *
 * Two machines are two network namespaces here. So there are three ways to measure the same path:
 *
 *   each its own         as on two machines: each has a processor for its own end and for its network card (RPS).
 *                        Neither ever sleeps
 *   the sender's         as with namespaces: the sending processor carries the packet through both machines, up to
 *                        the receiving socket
 *   the sender's, waits  the same, but the ends wait in the kernel, as programs do, so that their processors sleep
 *
 * In a virtual machine it is expensive to wake a sleeping processor, because the interrupt must leave the guest. The
 * faster a path is, the more often its receiver sleeps. So that cost says little about the path.
 *
 * VXLAN alone is a tunnel made with iproute2 between the same machines, without containers: the cost of the kernel's
 * VXLAN, whoever sets it up.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Sandbox } from '../../test/support/host.ts';
import { callEnvironment } from '../environment.ts';
import type { Bench, Experiment, Report } from '../experiment.ts';
import { compile } from '../launcher.ts';
import { type Ends, type Path, paths, shareOf } from '../path.ts';

const NETWORKS = [
  { mode: 'l3', wiring: 'bridge' },
  { mode: 'l3', wiring: 'routed' },
  { mode: 'l2', wiring: 'bridge' },
  { mode: 'direct', wiring: 'bridge' },
  { mode: 'direct', wiring: 'routed' },
] as const;
type Network = (typeof NETWORKS)[number];

/** The least share of the bare path's throughput. */
const BUDGET = 0.9;
const TIMES = 11;
/** The processor of the first machine, which receives, and that of the second. */
const PROCESSORS = [0, 1] as const;

/** A machine, and the container on it. */
interface Node {
  readonly machine: Sandbox;
  readonly container: Sandbox;
  readonly root: string;
  readonly address: string;
}

interface Way {
  readonly name: string;
  /** Whether a machine processes what comes to its network card on its own processor. */
  readonly isApart: boolean;
  readonly isBusy: boolean;
}

interface Figures {
  readonly bare: Path;
  /** Absent in the mode `direct`, which has no tunnel. */
  readonly vxlan?: Path;
  readonly inside: Path;
}

const WAYS: readonly Way[] = [
  { name: 'each its own', isApart: true, isBusy: true },
  { name: "the sender's", isApart: false, isBusy: true },
  { name: "the sender's, waits", isApart: false, isBusy: false },
];

const HEADS = [
  ...['overlay', 'processor', 'bare µs', 'VXLAN alone', 'inside'],
  ...['bare Gbit/s', 'VXLAN alone', 'inside', 'share', "VXLAN's", 'budget'],
];

export const overlayWire: Experiment = {
  name: 'overlay-wire',
  about: 'round trip and throughput between containers of two machines, for each mode of the overlay',
  async run(bench: Bench): Promise<Report> {
    if (availableParallelism() < PROCESSORS.length) {
      return { heads: HEADS, rows: [], notes: ['Not measured: it takes two processors'], figures: [] };
    }
    const wire = compile('wire', join(bench.root, 'programs'));
    const measured: { mode: string; way: string; figures: Figures }[] = [];
    for (const network of NETWORKS) {
      const figures = await measure(bench, wire, network);
      measured.push(
        ...WAYS.map(({ name }, i) => ({ mode: nameOf(network), way: name, figures: figures[i] as Figures })),
      );
    }
    return {
      heads: HEADS,
      rows: measured.map(({ mode, way, figures }) => row(mode, way, figures)),
      notes: [
        'Bare: between the two machines, over the bridge that plays the underlay. VXLAN alone: the same through a tunnel by iproute2. One TCP connection each, in turn',
        'Each its own: a machine has a processor for its end and for what comes to its network card, which never sleeps',
        "The sender's: one processor carries the packets through both machines. Waits: the ends wait in the kernel, and their processors sleep",
      ],
      figures: measured,
    };
  },
};

function row(mode: string, way: string, { bare, vxlan, inside }: Figures): string[] {
  const all = [bare, vxlan, inside];
  return [
    mode,
    way,
    ...all.map((path) => path?.roundTrip.toFixed(1) ?? ''),
    ...all.map((path) => path?.throughput.toFixed(1) ?? ''),
    ...[inside, vxlan].map((path) => (path === undefined ? '' : shareOf(path, bare).toFixed(2))),
    `≥ ${BUDGET.toFixed(2)}`,
  ];
}

function nameOf({ mode, wiring }: Network): string {
  return wiring === 'bridge' ? mode : `${mode}, ${wiring}`;
}

/** @returns the figures for each way */
async function measure(bench: Bench, wire: string, { mode, wiring }: Network): Promise<Figures[]> {
  using things = new DisposableStack();
  execFileSync('ip', ['link', 'add', 'under0', 'up', 'type', 'bridge']);
  things.defer(() => execFileSync('ip', ['link', 'del', 'under0']));
  const nodes = [1, 2].map((number) => machine(bench, things, `${mode}-${wiring}-${number}`, number));
  const [one, two] = nodes;
  if (one === undefined || two === undefined) throw new Error('there are two');
  const conf = {
    cniVersion: '1.0.0',
    name: 'bench',
    type: 'overlay',
    mode,
    wiring,
    subnet: '10.96.0.0/16',
    store: {
      type: 'static',
      nodes: nodes.map(({ address }, i) => ({ name: `n${i + 1}`, address, subnet: `10.96.${i + 1}.0/24` })),
    },
  };
  for (const node of nodes) call(bench, node, 'ADD', conf);
  const bare: Ends = { server: one.machine, client: two.machine, address: one.address };
  const ends = [bare, { server: one.container, client: two.container, address: '10.96.1.2' }];
  if (mode !== 'direct') ends.push({ ...bare, address: tunnel(one, two) });
  try {
    const figures: Figures[] = [];
    for (const { isApart, isBusy } of WAYS) {
      for (const [i, { machine }] of nodes.entries()) receiveOn(machine, isApart ? PROCESSORS[i] : undefined);
      const [bare, inside, vxlan] = await paths(wire, ends, { processors: PROCESSORS, isBusy, times: TIMES });
      if (bare === undefined || inside === undefined) throw new Error('two paths were asked for');
      figures.push({ bare, inside, ...(vxlan !== undefined && { vxlan }) });
    }
    return figures;
  } finally {
    for (const node of nodes) call(bench, node, 'DEL', conf);
  }
}

function machine(bench: Bench, things: DisposableStack, name: string, number: number): Node {
  const [machine, container] = ['node', 'container'].map((what) => new Sandbox(bench.root, `${what}-${name}`));
  if (machine === undefined || container === undefined) throw new Error('two were made');
  things.use(machine);
  things.use(container);
  const root = join(bench.root, name);
  mkdirSync(root);
  const address = `192.0.2.1${number}`;
  const wire = `under${number}`;
  execFileSync('bash', [
    '-ec',
    `ip link add ${wire} type veth peer name eth0 netns ${machine.path}; ip link set ${wire} master under0 up`,
  ]);
  things.defer(() => execFileSync('ip', ['link', 'del', wire]));
  machine.run('bash', '-ec', `ip link set lo up; ip link set eth0 up; ip addr add ${address}/24 dev eth0`);
  return { machine, container, root, address };
}

/** A tunnel made without netloom. @returns the address of the first */
function tunnel(one: Node, two: Node): string {
  const ends = [
    { at: one, peer: two, address: '198.51.100.1' },
    { at: two, peer: one, address: '198.51.100.2' },
  ] as const;
  for (const { at, peer, address } of ends) {
    const points = `local ${at.address} remote ${peer.address} dstport 4790`;
    at.machine.run(
      ...['bash', '-ec'],
      `ip link add plain0 mtu 1450 up type vxlan id 1 ${points}; ip addr add ${address}/24 dev plain0`,
    );
  }
  return ends[0].address;
}

/**
 * Sets receive packet steering (Documentation/networking/scaling.rst).
 * @param processor undefined turns it off, which is the default
 */
function receiveOn(machine: Sandbox, processor: number | undefined): void {
  const mask = processor === undefined ? '0' : (1 << processor).toString(16);
  // Which links /sys has depends on where it was mounted.
  const write = `mount -t sysfs sysfs /sys; echo ${mask} | tee /sys/class/net/eth0/queues/rx-*/rps_cpus`;
  machine.run('unshare', '--mount', 'bash', '-ec', write);
}

/** Calls the plugin as on a machine of its own. */
function call({ netloom }: Bench, { machine, container, root }: Node, command: 'ADD' | 'DEL', conf: object): void {
  execFileSync('nsenter', [`--net=${machine.path}`, join(netloom.plugins, 'overlay')], {
    env: callEnvironment(netloom, root, command, container),
    input: JSON.stringify(conf),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}
