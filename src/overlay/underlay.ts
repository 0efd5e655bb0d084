/** The underlay, over which nodes reach each other: which node this machine is, and how large a packet can be. */
import { NetloomError } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as addr from '../rtnl/addr.ts';
import { ARPHRD } from '../rtnl/constants.ts';
import * as link from '../rtnl/link.ts';
import * as route from '../rtnl/route.ts';
import type { OverlayNetwork, OverlayNode } from './network.ts';

/**
 * What a tunnel adds to a packet: the inner Ethernet header 14, VXLAN 8, UDP 8, and IPv4 20 or IPv6 40. RFC 7348,
 * section 5.
 */
export const OVERHEAD = { 4: 50, 6: 70 } as const;
/** The least MTU that IPv4 and IPv6 take. IPv6: RFC 8200, section 5. */
export const MTU_MIN = { 4: 68, 6: 1280 } as const;
const MTU_ETHERNET = 1500;

/** The node that this machine is: the one whose address it has. @throws NetloomError not-available */
export function ownNode(nl: NetlinkSocket, nodes: readonly OverlayNode[], name?: string): OverlayNode {
  const local = new Set(addr.list(nl).map(({ address }) => address.ip.toString()));
  const found = nodes.find((node) => local.has(node.address.toString()) && (name === undefined || node.name === name));
  if (found !== undefined) return found;
  throw new NetloomError('not-available', whyNone(nodes, name), {
    hint: 'add this machine with its address to the nodes of the store, or wait until it has that address',
  });
}

function whyNone(nodes: readonly OverlayNode[], name: string | undefined): string {
  if (name === undefined)
    return `This machine is not a node of the overlay: it has none of the addresses ${nodes.map(({ address }) => address).join(', ')}`;
  const named = nodes.find((node) => node.name === name);
  return named === undefined
    ? `This machine is to be the node "${name}", which is not one of ${nodes.map((node) => node.name).join(', ')}`
    : `This machine is to be the node "${name}", but does not have its address ${named.address}`;
}

/** Called for a peer that cannot be one, with the reason. */
export type PassOver = (peer: OverlayNode, error: NetloomError) => void;

export interface MtuOptions {
  readonly before?: number;
  readonly passOver?: PassOver | undefined;
}

/**
 * The largest packet of a container that reaches every peer in one piece: the least MTU of the links and routes to
 * them, less what the tunnel adds.
 * @param asked the configured MTU; 0 for the largest possible
 * @param before the result for other peers, which are not looked at again
 * @param passOver called in the mode `direct` for a peer that is not on a layer 2 of this node's. Without it the error
 * is thrown, and also where this node's link to the underlay is missing or down
 * @throws NetloomError not-available, invalid-config
 */
export function overlayMtu(
  nl: NetlinkSocket,
  { mode, subnet }: Pick<OverlayNetwork, 'mode' | 'subnet'>,
  own: OverlayNode,
  peers: readonly OverlayNode[],
  asked: number,
  { before = Number.POSITIVE_INFINITY, passOver }: MtuOptions = {},
): number {
  const underlay = underlayMtu(nl, mode, own, peers, passOver);
  const room = underlay - (mode === 'direct' ? 0 : OVERHEAD[own.address.family]);
  if (asked > room) {
    throw new NetloomError(
      'invalid-config',
      `failed to load netconf: "mtu" is ${asked}, expected 0 or at most ${room}: the underlay carries ${underlay} bytes`,
    );
  }
  const mtu = Math.min(asked === 0 ? room : asked, before);
  if (mtu < MTU_MIN[subnet.family]) {
    throw new NetloomError(
      'invalid-config',
      `failed to load netconf: packets of ${mtu} bytes are too small for IPv${subnet.family}, expected at least ${MTU_MIN[subnet.family]}`,
    );
  }
  return mtu;
}

/**
 * NB: a peer without a route to it does not count here, and keeps nobody from starting containers. In the mode `direct`
 * the kernel would refuse the route to its prefix.
 */
function underlayMtu(
  nl: NetlinkSocket,
  mode: OverlayNetwork['mode'],
  own: OverlayNode,
  peers: readonly OverlayNode[],
  passOver: PassOver | undefined,
): number {
  const links = new Map(link.list(nl).map((each) => [each.index, each]));
  const home = links.get(homeOf(nl, own) ?? 0);
  // An address on `lo`, as routing daemons like it, says nothing about the wires.
  let least = home === undefined || home.hardware === ARPHRD.LOOPBACK ? Number.POSITIVE_INFINITY : home.mtu;
  for (const peer of peers) {
    const way = route.lookup(nl, peer.address);
    const device = way?.oif === undefined ? undefined : links.get(way.oif);
    if (mode === 'direct' && (device === undefined || way?.gateway !== undefined)) {
      const error = notDirect(peer, way);
      if (passOver === undefined || home?.isUp !== true) throw error;
      passOver(peer, error);
      continue;
    }
    if (device !== undefined) least = Math.min(least, device.mtu, way?.mtu ?? device.mtu);
  }
  return least === Number.POSITIVE_INFINITY ? MTU_ETHERNET : least;
}

function notDirect({ name, address }: OverlayNode, way: route.Route | undefined): NetloomError {
  const where = way?.gateway === undefined ? 'no route leads there' : `it is behind the router ${way.gateway}`;
  return new NetloomError(
    'not-available',
    `Cannot route directly to the node "${name}" (${address}): ${where}, expected it on a layer 2 of this machine's`,
    { hint: 'in the mode "l3" nodes need not be on one layer 2' },
  );
}

/** The index of the link that has a node's address. */
export function homeOf(nl: NetlinkSocket, { address: own }: Pick<OverlayNode, 'address'>): number | undefined {
  return addr.list(nl, { family: own.family }).find(({ address }) => address.ip.equals(own))?.link;
}
