/** The figures of each network on this host: read when somebody asks, from files that exist anyway. */
import { endpointsByNetwork } from '../attach/record.ts';
import { readHeader } from '../cni/config.ts';
import { tryList } from '../ffi/directory.ts';
import { capacity, countTaken } from '../ipam/allocator.ts';
import { hostLocalSchema, setsOf } from '../ipam/host-local/config.ts';
import { directoryOf } from '../ipam/host-local/lease-directory.ts';
import { Ip } from '../net/ip.ts';
import type { Paths } from '../paths.ts';
import { type Network, readNetworks } from '../runtime/conf-directory.ts';

export interface NetworkFigures {
  readonly name: string;
  /** Interfaces of containers that netloom has attached. */
  readonly endpoints: number;
  /** Where host-local gives the addresses: an entry for each of its range sets. */
  readonly leases: readonly { readonly free: number; readonly used: number; readonly ranges: string }[];
}

/** The networks of the configuration, and those that still have endpoints. */
export function networkFigures(paths: Paths): NetworkFigures[] {
  const endpoints = endpointsByNetwork(paths);
  const configured = readNetworks(paths.conf).networks.map((network) => ({
    name: network.list.name,
    endpoints: endpoints.get(network.list.name) ?? 0,
    leases: leasesOf(network, paths),
  }));
  const names = new Set(configured.map(({ name }) => name));
  const others = [...endpoints].filter(([name]) => !names.has(name));
  return [...configured, ...others.map(([name, count]) => ({ name, endpoints: count, leases: [] }))];
}

/**
 * NB: it does not take the lock of the leases. A momentary figure need not wait for it, and must not make others wait.
 */
function leasesOf({ list }: Network, paths: Paths): NetworkFigures['leases'] {
  const entry = list.plugins.find(({ conf }) => isHostLocal(conf['ipam']));
  if (entry === undefined) return [];
  const text = JSON.stringify({ ...entry.conf, name: list.name, cniVersion: list.cniVersion });
  try {
    const conf = hostLocalSchema.read(readHeader(text));
    const directory = directoryOf({ dataDir: conf.ipam.dataDir ?? paths.leases, network: list.name });
    const taken = (tryList(directory) ?? []).map((name) => Ip.tryParse(name)).filter((ip) => ip !== undefined);
    return setsOf(conf).map((set) => {
      const used = countTaken(set, taken);
      const ranges = set.map(({ start, end }) => `${start}-${end}`).join(',');
      return { free: Number(capacity(set) - used), used: Number(used), ranges };
    });
  } catch {
    // There are no leases to count. The next ADD says what is wrong with the configuration.
    return [];
  }
}

function isHostLocal(ipam: unknown): boolean {
  return typeof ipam === 'object' && ipam !== null && 'type' in ipam && ipam.type === 'host-local';
}
