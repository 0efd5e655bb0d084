/**
 * An overlay as all its nodes agree on it, and the names and MACs that each node works out by itself, so that nodes
 * need not exchange them.
 */
import { aliasOf, hostLinkName } from '../attach/owner.ts';
import { fnv1a } from '../fnv.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { localMac, type Mac } from '../net/mac.ts';

/**
 * `l3`: prefixes routed into a tunnel. `l2`: one layer 2 over all nodes. `direct`: prefixes routed over a layer 2 that
 * the nodes share.
 */
export const MODES = ['l3', 'l2', 'direct'] as const;
export type Mode = (typeof MODES)[number];

/** How a node's containers are connected to it: as ports of a bridge, or each by a routed wire of its own. */
export const WIRINGS = ['bridge', 'routed'] as const;

export interface OverlayNetwork {
  readonly name: string;
  readonly mode: Mode;
  readonly vni: number;
  /** The UDP port of the tunnel, the same on every node. */
  readonly port: number;
  /** Everything inside: the prefixes of all nodes. */
  readonly subnet: Cidr;
}

/** A machine of the overlay. */
export interface OverlayNode {
  readonly name: string;
  /** Its address on the underlay. */
  readonly address: Ip;
  /** The prefix of its containers' addresses. */
  readonly subnet: Cidr;
  /** More prefixes for its containers, in the mode `l2`. */
  readonly blocks?: readonly Cidr[];
}

/** A VNI has 24 bits; 0 is none. */
export const VNI_MAX = 2 ** 24 - 1;
/** NB: not `netloom:NETWORK/`, which marks an attachment: GC removes attachments that are not listed. */
const MARK = 'netloom-overlay:';

/**
 * The VNI of a network that configures none. It follows from the name, so that all nodes have the same. The first
 * 4,096, which people choose, stay free.
 */
export function vniOf(network: string): number {
  const free = VNI_MAX - 4096;
  return 4097 + Number(BigInt(`0x${fnv1a(network)}`) % BigInt(free));
}

/** The tunnel's device. */
export function tunnelName(network: string): string {
  return hostLinkName('nlx-', network);
}

/** The bridge that a node's containers are on. */
export function bridgeName(network: string): string {
  return hostLinkName('nlb-', network);
}

/** Whether a name is that of a tunnel or bridge, of any network. */
export function isDeviceName(name: string): boolean {
  return name.startsWith('nlx-') || name.startsWith('nlb-');
}

/** The ifalias of tunnel and bridge. */
export function markOf(network: string): string {
  return MARK + aliasOf(network).slice(aliasOf('').length);
}

/** The MAC of a node's tunnel: from names, so that no node has to tell it to another. */
export function tunnelMac(network: string, node: string): Mac {
  return macFrom(`tunnel ${network} ${node}`);
}

/** The MAC of a node's bridge, different on each: in the mode `l2` they are stations of one layer 2. */
export function bridgeMac(network: string, node: string): Mac {
  return macFrom(`bridge ${network} ${node}`);
}

/**
 * The MAC of a container, from its address: the next container with that address has the same MAC, so no neighbour
 * entry is ever out of date.
 */
export function containerMac(network: string, address: Ip): Mac {
  return macFrom(`container ${network} ${address}`);
}

/** 46 bits: two of ten thousand stations collide once in 1.4 million networks. */
function macFrom(text: string): Mac {
  const hash = fnv1a(text);
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(hash.slice(i * 2, i * 2 + 2), 16);
  return localMac(bytes);
}
