/**
 * What leads to the other nodes, as a set: entries of the FDB, neighbours and routes. Each has a key, by which the kernel tells them apart, and a value. What the
 * kernel has and what there should be are the same kind of set, and what is to be done is the difference.
 */
import type { Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { RTPROT_OVERLAY } from '../rtnl/constants.ts';
import * as fdb from '../rtnl/fdb.ts';
import * as neigh from '../rtnl/neigh.ts';
import * as route from '../rtnl/route.ts';
import type { OverlayNetwork } from './network.ts';

export interface Entry {
  readonly value: string;
  /** For a sentence. */
  readonly name: string;
  put(): Request;
  drop(): Request;
}

export type Entries = Map<string, Entry>;

/** Something that differs: what is there and should not be, or the other way round. */
export interface Difference {
  readonly sentence: string;
  readonly isRemoval: boolean;
  readonly request: Request;
}

export function putFdb(entries: Entries, link: number, mac: Mac, dst: Ip): void {
  if (mac === fdb.ANY_MAC) {
    entries.set(`flood ${dst}`, {
      value: '',
      name: `the node ${dst} for frames to everybody`,
      put: () => fdb.append(link, mac, dst),
      drop: () => fdb.remove(link, mac, dst),
    });
    return;
  }
  entries.set(`fdb ${mac}`, {
    value: dst.toString(),
    name: `the FDB entry that leads ${mac} to ${dst}`,
    put: () => fdb.replace(link, mac, dst),
    drop: () => fdb.remove(link, mac, dst),
  });
}

export function putNeighbour(entries: Entries, link: number, ip: Ip, mac: Mac): void {
  entries.set(`neighbour ${ip}`, {
    value: mac,
    name: `the neighbour ${ip} with the MAC ${mac}`,
    put: () => neigh.replace(link, ip, mac),
    drop: () => neigh.remove(link, ip),
  });
}

export function putRoute(entries: Entries, spec: route.RouteSpec): void {
  entries.set(`route ${spec.dst} ${spec.priority ?? 0}`, {
    value: `${spec.gateway}`,
    name: `the route to ${spec.dst} by ${spec.gateway}`,
    put: () => route.replace(spec),
    drop: () => route.remove(spec),
  });
}

/**
 * What the kernel has.
 * @param tunnel the index of the tunnel's device; undefined where there is none: then only routes lead to other nodes, by whatever link
 */
export function readEntries(
  nl: NetlinkSocket,
  { mode, subnet }: Pick<OverlayNetwork, 'mode' | 'subnet'>,
  tunnel: number | undefined,
): Entries {
  const entries: Entries = new Map();
  if (tunnel !== undefined) {
    for (const { mac, dst, isPermanent } of fdb.list(nl, tunnel)) if (isPermanent) putFdb(entries, tunnel, mac, dst);
  }
  if (tunnel !== undefined && mode === 'l3') {
    for (const { ip, mac, state } of neigh.list(nl, { link: tunnel })) {
      if (mac !== undefined && (state & neigh.NUD.PERMANENT) !== 0) putNeighbour(entries, tunnel, ip, mac);
    }
  }
  if (mode === 'l2') return entries;
  const only = { protocol: RTPROT_OVERLAY, ...(tunnel !== undefined && { oif: tunnel }) };
  for (const each of route.list(nl, subnet.family, only)) if (subnet.contains(each.dst.ip)) putRoute(entries, each);
  return entries;
}

/** What is to be done: first what is missing or different, in the order of `want`, then what is too many, the last first. */
export function difference(have: Entries, want: Entries): Difference[] {
  const differences: Difference[] = [];
  for (const [key, entry] of want) {
    const found = have.get(key);
    if (found?.value === entry.value) continue;
    const sentence = found === undefined ? `${entry.name} is missing` : `${entry.name} is there as ${found.value}`;
    differences.push({ sentence, isRemoval: false, request: entry.put() });
  }
  const extra: Difference[] = [];
  for (const [key, entry] of have) {
    if (want.has(key)) continue;
    extra.push({ sentence: `${entry.name} leads nowhere any more`, isRemoval: true, request: entry.drop() });
  }
  return [...differences, ...extra.reverse()];
}
