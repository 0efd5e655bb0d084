/**
 * What a node's kernel should have for an overlay: worked out from the network, the node and its peers, without a look
 * at the kernel.
 */
import { Cidr } from '../net/cidr.ts';
import { RTPROT_OVERLAY } from '../rtnl/constants.ts';
import { ANY_MAC } from '../rtnl/fdb.ts';
import { ENTRY_KINDS, type Entry, type EntryKind, fdbEntry, neighbourEntry, routeEntry } from './entries.ts';
import { type OverlayNetwork, type OverlayNode, tunnelMac } from './network.ts';

export interface Intent {
  readonly network: OverlayNetwork;
  readonly own: OverlayNode;
  /** All other nodes. */
  readonly peers: readonly OverlayNode[];
  /** Of the containers, and so of the tunnel and the bridge. */
  readonly mtu: number;
}

/** The address of the bridge, which is the gateway of the node's containers: the first of the node's prefix. */
export function gatewayOf({ network, own }: Pick<Intent, 'network' | 'own'>): Cidr {
  const { prefix } = network.mode === 'l2' ? network.subnet : own.subnet;
  return new Cidr(own.subnet.first().plus(1n), prefix);
}

/**
 * The address of a node's tunnel in the mode `l3`: the prefix without host bits, which no container gets. Peers use it
 * as the gateway to the prefix.
 */
export function tunnelAddress({ subnet }: OverlayNode): Cidr {
  return Cidr.alone(subnet.first());
}

/**
 * The entries that should lead to the peers.
 * @param tunnel the index of the tunnel, undefined in the mode `direct`
 * @param kinds the kinds to generate
 */
export function* wantedEntries(
  { network, peers }: Pick<Intent, 'network' | 'peers'>,
  tunnel: number | undefined,
  kinds: readonly EntryKind[] = ENTRY_KINDS,
): Generator<Entry> {
  for (const kind of kinds) {
    for (const peer of peers) {
      const entry = wantedEntry(kind, network, peer, tunnel);
      if (entry !== undefined) yield entry;
    }
  }
}

function wantedEntry(
  kind: EntryKind,
  network: OverlayNetwork,
  peer: OverlayNode,
  tunnel: number | undefined,
): Entry | undefined {
  if (tunnel === undefined) {
    return kind === 'route' ? routeEntry({ ...towards(network, peer), gateway: peer.address }) : undefined;
  }
  if (network.mode === 'l2') return kind === 'fdb' ? fdbEntry(tunnel, ANY_MAC, peer.address) : undefined;
  const gateway = tunnelAddress(peer).ip;
  switch (kind) {
    case 'fdb':
      return fdbEntry(tunnel, tunnelMac(network.name, peer.name), peer.address);
    case 'neighbour':
      return neighbourEntry(tunnel, gateway, tunnelMac(network.name, peer.name));
    case 'route':
      return routeEntry({ ...towards(network, peer), gateway, oif: tunnel, onlink: true });
    default:
      return kind satisfies never;
  }
}

/**
 * NB: each route has a metric of its own, the number of the prefix in the subnet. The kernel compares a new route with
 * all that share its device and metric (fib_find_info): 5,000 routes with one metric would take 12 million comparisons.
 */
function towards({ subnet }: OverlayNetwork, peer: OverlayNode) {
  const number = (peer.subnet.first().toBigInt() - subnet.first().toBigInt()) / peer.subnet.size();
  return { dst: peer.subnet, priority: 1 + Number(BigInt.asUintN(31, number)), protocol: RTPROT_OVERLAY };
}
