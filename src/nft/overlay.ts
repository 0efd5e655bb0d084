/**
 * Overlays: clears the marks of packets that enter a tunnel, and keeps the traffic of internal networks within them.
 *
 *   set overlay-tunnels { type ifname; elements = { "nlx-3f2a…" comment "net" } }
 *   chain overlay-marks { type filter hook postrouting priority srcnat + 10; meta mark != 0x0 oifname @overlay-tunnels meta mark set 0x0 }
 *
 * A tunnel's outer packet has the mark of the inner one. A program that masquerades by mark, such as kube-proxy, would
 * change the source of the outer packet too, and the node at the other end would not know that source. So the mark is
 * cleared after the inner packet has passed all rules that look at it.
 *
 *   set overlay-internal { type ifname; elements = { "nlb-3f2a…" comment "net" } }
 *   set overlay-inside4 { type ifname . ipv4_addr; flags interval; elements = { "nlb-3f2a…" . 10.96.0.0/16 } }
 *   chain overlay-forward { type filter hook forward priority filter - 10
 *     iifname @overlay-internal meta nfproto ipv4 iifname . ip daddr != @overlay-inside4 drop
 *     oifname @overlay-internal meta nfproto ipv4 oifname . ip saddr != @overlay-inside4 drop; the same for IPv6 }
 *
 * Every packet of the host passes a base chain, a packet in a tunnel three times. So the second part is made only for
 * the first internal network, and packets without a mark need no lookup. With both parts from the start, and a lookup
 * for each packet, a stream between containers had 9 % less throughput (bench/experiments/overlay-wire.ts).
 * NB: earlier versions made both parts at once. The first part is the same, and what they made is used as it is.
 */
import { hasCode } from '../error.ts';
import type { Cidr } from '../net/cidr.ts';
import { FAMILIES, type Family, type Ip } from '../net/ip.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { commit } from './batch.ts';
import * as chain from './chain.ts';
import { concat as concatType, ifname, ipv4Addr, ipv6Addr } from './datatype.ts';
import * as element from './element.ts';
import { unsupportedMeans } from './feature.ts';
import { concat } from './field.ts';
import { daddrOf, saddrOf } from './fields/ip.ts';
import { meta } from './fields/meta.ts';
import { inSet, ne, notInSet } from './match.ts';
import { hasLayout, netloomTable, removeIfUnused, withRetries } from './netloom-table.ts';
import * as rule from './rule.ts';
import * as set from './set.ts';
import { setMark } from './statements/mark.ts';
import { verdict } from './statements/verdict.ts';
import * as table from './table.ts';

/** The rules for the devices of one network on this node. */
export interface OverlayGuard {
  /** The link by which packets go into the tunnel; undefined if there is none. */
  readonly tunnel?: string | undefined;
  /** The link that all containers are behind, and the only subnet that they may exchange packets with. */
  readonly internal?: { readonly ifname: string; readonly subnet: Cidr } | undefined;
  readonly comment: string;
}

type Inside = readonly [string, Ip];

const marks: chain.Chain = {
  table: netloomTable,
  name: 'overlay-marks',
  base: { type: 'filter', hook: 'postrouting', priority: chain.PRIORITY.srcnat + 10 },
  comment: 'netloom overlay, layout 1',
};
const forward: chain.Chain = {
  ...marks,
  name: 'overlay-forward',
  base: { type: 'filter', hook: 'forward', priority: chain.PRIORITY.filter - 10 },
};
const tunnels: set.NftSet<string> = { table: netloomTable, name: 'overlay-tunnels', key: ifname, comment: 'no marks' };
const internal: set.NftSet<string> = { ...tunnels, name: 'overlay-internal', comment: 'nothing in, nothing out' };
const inside: Readonly<Record<Family, set.NftSet<Inside>>> = {
  4: insideSet('overlay-inside4', concatType<Inside>(ifname, ipv4Addr)),
  6: insideSet('overlay-inside6', concatType<Inside>(ifname, ipv6Addr)),
};

/** Guards a network's devices. Does nothing if they are already guarded. */
export function add(nft: NetlinkSocket, guard: OverlayGuard): void {
  withRetries(`guard the overlay "${guard.comment}"`, () => {
    const requests = missing(nft, guard);
    if (requests.length === 0) return;
    try {
      commit(nft, requests);
    } catch (error) {
      throw (error instanceof NetlinkError && unsupportedMeans(error)) || error;
    }
  });
}

/** Removes a network's guard, and the table if it was the last. Does nothing if there is none. */
export function remove(nft: NetlinkSocket, { tunnel, internal: kept }: OverlayGuard): void {
  const requests = [
    ...(tunnel !== undefined && element.get(nft, tunnels, tunnel) ? [element.remove(tunnels, tunnel)] : []),
    ...(kept !== undefined && element.get(nft, internal, kept.ifname)
      ? [
          element.remove(internal, kept.ifname),
          element.remove(
            inside[kept.subnet.family],
            [kept.ifname, kept.subnet.first()],
            [kept.ifname, kept.subnet.last()],
          ),
        ]
      : []),
  ];
  try {
    if (requests.length > 0) commit(nft, requests);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error; // another process has done the same
  }
  removeIfUnused(nft);
}

/** What is missing in the kernel, in sentences, for CHECK. */
export function differences(nft: NetlinkSocket, { tunnel, internal: kept }: OverlayGuard): string[] {
  return [
    ...(tunnel === undefined || has(nft, marks, tunnels, tunnel)
      ? []
      : [`packets keep their mark in the tunnel of "${tunnel}"`]),
    ...(kept === undefined || has(nft, forward, internal, kept.ifname)
      ? []
      : [`what is behind "${kept.ifname}" is not kept to ${kept.subnet}`]),
  ];
}

function missing(nft: NetlinkSocket, { tunnel, internal: kept, comment }: OverlayGuard): Request[] {
  return [
    ...(tunnel === undefined || has(nft, marks, tunnels, tunnel)
      ? []
      : [...(hasLayout(nft, marks) ? [] : marksRequests()), element.create(tunnels, { key: tunnel, comment })]),
    ...(kept === undefined || has(nft, forward, internal, kept.ifname)
      ? []
      : [
          ...(hasLayout(nft, forward) ? [] : forwardRequests()),
          element.create(internal, { key: kept.ifname, comment }),
          element.create(inside[kept.subnet.family], {
            key: [kept.ifname, kept.subnet.first()],
            last: [kept.ifname, kept.subnet.last()],
            comment,
          }),
        ]),
  ];
}

function has(nft: NetlinkSocket, base: chain.Chain, links: set.NftSet<string>, name: string): boolean {
  return hasLayout(nft, base) && element.get(nft, links, name) !== undefined;
}

function marksRequests(): Request[] {
  return [
    table.add(netloomTable),
    set.create(tunnels),
    chain.create(marks),
    rule.add(marks, [ne(meta.mark, 0), inSet(meta.oifname, tunnels), setMark('meta', 0)]),
  ];
}

function forwardRequests(): Request[] {
  const drop = verdict('drop');
  return [
    table.add(netloomTable),
    ...[internal, inside[4], inside[6]].map((each) => set.create(each)),
    chain.create(forward),
    ...FAMILIES.flatMap((family) => [
      rule.add(forward, [
        inSet(meta.iifname, internal),
        notInSet(concat<Inside>(meta.iifname, daddrOf(family)), inside[family]),
        drop,
      ]),
      rule.add(forward, [
        inSet(meta.oifname, internal),
        notInSet(concat<Inside>(meta.oifname, saddrOf(family)), inside[family]),
        drop,
      ]),
    ]),
  ];
}

function insideSet(name: string, key: set.NftSet<Inside>['key']): set.NftSet<Inside> {
  return { table: netloomTable, name, key, interval: true, comment: 'what an internal network is' };
}
