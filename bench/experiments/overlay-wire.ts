/** What an overlay costs on the wire: between containers of two machines, in each mode, against the path between the machines themselves. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Sandbox } from '../../test/support/host.ts';
import type { Bench, Experiment, Report } from '../experiment.ts';
import { compile } from '../launcher.ts';
import { type Path, paths } from '../path.ts';

const MODES = ['l3', 'l2', 'direct'] as const;
/** What is left of the throughput of the bare path. The issue of the overlay. */
const BUDGET = 0.9;

/** A machine, and the container on it. */
interface Node {
  readonly machine: Sandbox;
  readonly container: Sandbox;
  readonly root: string;
  readonly address: string;
}

export const overlayWire: Experiment = {
  name: 'overlay-wire',
  about: 'round trip and throughput between containers of two machines, for each mode of the overlay',
  async run(bench: Bench): Promise<Report> {
    const wire = compile('wire', join(bench.root, 'programs'));
    const figures: Record<string, { bare: Path; overlay: Path; share: number }> = {};
    for (const mode of MODES) {
      const [bare, overlay] = await measure(bench, wire, mode);
      figures[mode] = { bare, overlay, share: overlay.throughput / bare.throughput };
    }
    const rows = Object.entries(figures).map(([mode, { bare, overlay, share }]) => [
      mode,
      bare.roundTrip.toFixed(1),
      overlay.roundTrip.toFixed(1),
      bare.throughput.toFixed(1),
      overlay.throughput.toFixed(1),
      share.toFixed(2),
      `≥ ${BUDGET.toFixed(2)}`,
    ]);
    const heads = ['overlay', 'bare µs', 'inside µs', 'bare Gbit/s', 'inside Gbit/s', 'share', 'budget'];
    return {
      heads,
      rows,
      notes: [
        'Bare: between the two machines, over the bridge that plays the underlay. One TCP connection each, in turn',
      ],
      figures,
    };
  },
};

async function measure(bench: Bench, wire: string, mode: string): Promise<[bare: Path, overlay: Path]> {
  using things = new DisposableStack();
  execFileSync('ip', ['link', 'add', 'under0', 'up', 'type', 'bridge']);
  things.defer(() => execFileSync('ip', ['link', 'del', 'under0']));
  const nodes = [1, 2].map((number) => machine(bench, things, `${mode}-${number}`, number));
  const [one, two] = nodes;
  if (one === undefined || two === undefined) throw new Error('there are two');
  const conf = {
    cniVersion: '1.0.0',
    name: 'bench',
    type: 'overlay',
    mode,
    subnet: '10.96.0.0/16',
    store: {
      type: 'static',
      nodes: nodes.map(({ address }, i) => ({ name: `n${i + 1}`, address, subnet: `10.96.${i + 1}.0/24` })),
    },
  };
  for (const node of nodes) call(bench, node, 'ADD', conf);
  try {
    const [bare, overlay] = await paths(wire, [
      { server: one.machine, client: two.machine, address: one.address },
      { server: one.container, client: two.container, address: '10.96.1.2' },
    ]);
    if (bare === undefined || overlay === undefined) throw new Error('two paths were asked for');
    return [bare, overlay];
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

/** As on a machine of its own. */
function call({ netloom }: Bench, { machine, container, root }: Node, command: 'ADD' | 'DEL', conf: object): void {
  execFileSync('nsenter', [`--net=${machine.path}`, join(netloom.plugins, 'overlay')], {
    env: {
      PATH: process.env['PATH'],
      NETLOOM_ROOT: root,
      CNI_COMMAND: command,
      CNI_CONTAINERID: container.name,
      CNI_NETNS: container.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: netloom.plugins,
    },
    input: JSON.stringify(conf),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}
