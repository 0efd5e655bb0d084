/**
 * The ways from one machine to the others, as lines: those in the kernel, read with iproute2, and those that follow
 * from the nodes in the store. They are computed here independently of the code under test.
 */
import { type Machine, tunnelOf } from './cluster.ts';
import type { StoredNode } from './shared-store.ts';

type Place = Pick<Machine, 'sandbox'>;

interface Neighbour {
  readonly dst: string;
  readonly lladdr?: string;
}

interface Fdb {
  readonly mac: string;
  readonly dst?: string;
  readonly state?: string;
}

/** The ways that a machine with containers should have. */
export function expectedWays(mode: string, name: string, nodes: readonly StoredNode[]): string[] {
  const lines = nodes
    .filter((node) => node.name !== name)
    .map(({ subnet, address }) => {
      if (mode === 'l2') return `flood ${address}`;
      if (mode === 'direct') return `${subnet} via ${address}`;
      const gateway = subnet.replace(/\/.*/, '');
      return `${subnet} via ${gateway} at ${address}`;
    });
  return lines.sort();
}

/** The ways that it has. An entry that belongs to no way gets a line of its own. */
export function actualWays(mode: string, { sandbox }: Place): string[] {
  const routes = sandbox
    .ip<{ dst: string; gateway?: string }>('route', 'show', 'proto', '111')
    .map(({ dst, gateway }) => ({ dst, gateway: gateway ?? 'nothing' }));
  if (mode === 'direct') return routes.map(({ dst, gateway }) => `${dst} via ${gateway}`).sort();
  const tunnel = tunnelOf(sandbox);
  const entries = tunnel === undefined ? [] : permanentFdb(sandbox, tunnel.ifname);
  if (mode === 'l2') return [...routes.map(({ dst }) => `${dst} routed`), ...entries.map(flood)].sort();
  const neighbours = new Map(
    sandbox.ip<Neighbour>('neigh', 'show', 'nud', 'permanent').map(({ dst, lladdr }) => [dst, lladdr]),
  );
  const stations = new Map(entries.map(({ mac, dst }) => [mac, dst]));
  const lines = routes.map(({ dst, gateway }) => {
    const mac = neighbours.get(gateway);
    const address = mac === undefined ? undefined : stations.get(mac);
    neighbours.delete(gateway);
    if (mac !== undefined) stations.delete(mac);
    return `${dst} via ${gateway} at ${address ?? (mac === undefined ? 'no neighbour' : 'no entry')}`;
  });
  const rest = [
    ...[...neighbours].map(([dst]) => `neighbour ${dst}`),
    ...[...stations].map(([mac, dst]) => `entry ${mac} ${dst}`),
  ];
  return [...lines, ...rest].sort();
}

function permanentFdb(sandbox: Place['sandbox'], tunnel: string): Fdb[] {
  const all = JSON.parse(sandbox.run('bridge', '-j', 'fdb', 'show', 'dev', tunnel)) as Fdb[];
  return all.filter(({ dst, state }) => dst !== undefined && state === 'permanent');
}

function flood({ mac, dst }: Fdb): string {
  return mac === '00:00:00:00:00:00' ? `flood ${dst}` : `entry ${mac} ${dst}`;
}
