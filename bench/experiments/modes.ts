/**
 * The cost of each mode on the wire: the path between two sandboxes in that mode. README's table of modes has these
 * figures.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Sandbox } from '../../test/support/host.ts';
import { callEnvironment } from '../environment.ts';
import type { Bench, Experiment, Report } from '../experiment.ts';
import { compile } from '../launcher.ts';
import { type Path, path } from '../path.ts';

type Json = Readonly<Record<string, unknown>>;

interface Mode {
  readonly name: string;
  /** The plugin's keys for the first and the second sandbox; undefined if both ends share a namespace. */
  readonly conf?: (end: 0 | 1) => Json;
}

/** The two ends of a cable on the host, as masters for the modes that need one. */
const CABLE = ['master0', 'master1'] as const;

const MODES: readonly Mode[] = [
  { name: 'host, container' },
  { name: 'bridge', conf: () => ({ type: 'bridge', bridge: 'bench0', isGateway: true }) },
  { name: 'ptp', conf: () => ({ type: 'ptp' }) },
  { name: 'macvlan', conf: () => ({ type: 'macvlan', master: CABLE[0] }) },
  { name: 'ipvlan l2', conf: () => ({ type: 'ipvlan', master: CABLE[0], mode: 'l2' }) },
  { name: 'ipvlan l3', conf: () => ({ type: 'ipvlan', master: CABLE[0], mode: 'l3' }) },
  { name: 'ipvlan l3s', conf: () => ({ type: 'ipvlan', master: CABLE[0], mode: 'l3s' }) },
  { name: 'vlan', conf: (end) => ({ type: 'vlan', master: CABLE[end], vlanId: 5 }) },
  { name: 'host-device', conf: (end) => ({ type: 'host-device', device: CABLE[end] }) },
];

const HEADS = ['mode', 'between two sandboxes', 'round trip µs', 'Gbit/s', 'round trip ÷ bridge', 'Gbit/s ÷ bridge'];

export const modes: Experiment = {
  name: 'modes',
  about: 'round trip and throughput between two sandboxes, for each mode',
  async run(bench: Bench): Promise<Report> {
    const wire = compile('wire', join(bench.root, 'programs'));
    const figures: Record<string, Path | string> = {};
    for (const mode of MODES) figures[mode.name] = await measure(bench, wire, mode);
    const bridge = figures['bridge'];
    if (bridge === undefined || typeof bridge === 'string') throw new Error(`no figures of bridge: ${bridge}`);
    const rows = Object.entries(figures).map(([name, path]) =>
      typeof path === 'string'
        ? [name, path, '', '', '', '']
        : [
            ...[name, 'one TCP connection', path.roundTrip.toFixed(1), path.throughput.toFixed(1)],
            ...[path.roundTrip / bridge.roundTrip, path.throughput / bridge.throughput].map((ratio) =>
              ratio.toFixed(2),
            ),
          ],
    );
    return { heads: HEADS, rows, figures };
  },
};

/** @returns the path, or the reason if this kernel lacks what the mode needs */
async function measure(bench: Bench, wire: string, { name, conf }: Mode): Promise<Path | string> {
  using sandboxes = new DisposableStack();
  const ends = ([0, 1] as const).map((end) =>
    sandboxes.use(new Sandbox(bench.root, `${name.replaceAll(/\W+/g, '-')}-${end}`)),
  );
  const [server, client] = ends as [Sandbox, Sandbox];
  if (conf === undefined) {
    server.run('ip', 'link', 'set', 'lo', 'up');
    return await path(wire, server, server, '127.0.0.1');
  }
  execFileSync('ip', ['link', 'add', CABLE[0], 'up', 'type', 'veth', 'peer', 'name', CABLE[1]]);
  execFileSync('ip', ['link', 'set', CABLE[1], 'up']);
  sandboxes.defer(() =>
    execFileSync('sh', ['-c', `ip link del ${CABLE[0]} 2>&- || true; ip link del bench0 2>&- || true`]),
  );
  const calls = ends.map((sandbox, end) => attachment(bench, sandbox, name, conf(end as 0 | 1)));
  try {
    for (const call of calls) call('ADD');
    return await path(wire, server, client, '10.64.0.2');
  } catch (error) {
    const [, missing] = /CONFIG_(\w+)/.exec(String(error)) ?? [];
    if (missing === undefined) throw error;
    return `this kernel lacks CONFIG_${missing}`;
  } finally {
    for (const call of calls) call('DEL');
  }
}

function attachment({ launcher, netloom, root }: Bench, sandbox: Sandbox, network: string, conf: Json) {
  const whole = {
    cniVersion: '1.0.0',
    name: network.replaceAll(/\W+/g, '-'),
    ...conf,
    ipam: { type: 'host-local', dataDir: join(root, 'modes'), ranges: [[{ subnet: '10.64.0.0/24' }]] },
  };
  return (command: 'ADD' | 'DEL') =>
    launcher.execute(
      join(netloom.plugins, String(conf['type'])),
      callEnvironment(netloom, root, command, sandbox),
      JSON.stringify(whole),
    );
}
