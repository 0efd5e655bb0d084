/**
 * The objects of port mapping in the table, one group for each family in use. For IPv4:
 *
 *   set published4 { type inet_proto . inet_service }                                      the ports that anything is published on
 *   map portmap4 { type inet_proto . inet_service : ipv4_addr . inet_service }             by port, on any address of the host
 *   map portmap4-at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }   the same, on one address of the host
 *   map portmap4-masq { type ipv4_addr : verdict }                  by container: whose connections to it are masqueraded, one for each attachment
 *   map portmap4-owner { type mark . mark . mark : ipv4_addr . inet_proto . inet_service } what an owner has, by a hash of its name and a number
 *
 *   chain portmap4-in { type nat hook prerouting priority dstnat; meta nfproto ipv4 meta l4proto . th dport @published4 jump portmap4-dnat }
 *   chain portmap4-out { type nat hook output …; the same: connections of the host itself }
 *   chain portmap4-dnat { fib daddr type != local return; dnat ip to … map @portmap4-at; dnat ip to … map @portmap4 }
 *   chain portmap4-snat { type nat hook postrouting priority srcnat; ct status dnat ip daddr vmap @portmap4-masq }
 *   chain portmap4-lo { type filter hook prerouting priority raw; iifname != "lo" ip daddr 127.0.0.0/8 drop }
 *
 * A new connection to a port that nobody has published costs the one lookup in `published4` (established ones cost
 * nothing: nat chains see the first packet only). The routing table is looked up next, before anything is translated:
 * without `fib daddr type local` the host would also translate connections that it only forwards.
 *
 * The chain portmap4-lo is needed because of route_localnet: with it on, the kernel would accept packets for 127.0.0.1
 * from a container (CVE-2020-8558). A good packet never arrives with this address: the replies of a published port get
 * it later, from connection tracking.
 */
import { Cidr } from '../../net/cidr.ts';
import { type Family, Ip } from '../../net/ip.ts';
import type { Request } from '../../netlink/message.ts';
import * as chain from '../chain.ts';
import type { Verdict } from '../data.ts';
import { concat as concatType, type DataType, inetProto, inetService, ipv4Addr, ipv6Addr, mark } from '../datatype.ts';
import { concat } from '../field.ts';
import { ct } from '../fields/ct.ts';
import { fibType } from '../fields/fib.ts';
import { daddrOf, ip, ip6 } from '../fields/ip.ts';
import { meta } from '../fields/meta.ts';
import { th } from '../fields/transport.ts';
import { eq, has, inSet, ne, vmap, within } from '../match.ts';
import { netloomTable } from '../netloom-table.ts';
import * as rule from '../rule.ts';
import * as set from '../set.ts';
import { dnatMap } from '../statements/nat.ts';
import { verdict } from '../statements/verdict.ts';
import * as table from '../table.ts';

/** A transport protocol by its number, or by its name if nft has one. */
export type Proto = 'tcp' | 'udp' | 'sctp' | 'icmp' | 'ipv6-icmp' | number;
/** A port of the host, on any of its addresses. */
export type PortKey = readonly [protocol: Proto, port: number];
/** A port of one address of the host; the unspecified address stands for any. */
export type AddressKey = readonly [host: Ip, protocol: Proto, port: number];
/** Where a published port leads. */
export type Target = readonly [container: Ip, port: number];
/** The two halves of a hash of the owner's comment, and a number from 0. */
export type OwnerKey = readonly [high: number, low: number, number: number];

/** Whether a key's address stands for any address. */
export function isAny(host: Ip): boolean {
  return host.bytes.every((byte) => byte === 0);
}

/** The key without its address. */
export function portOf([, protocol, port]: AddressKey): PortKey {
  return [protocol, port];
}

export interface Layout {
  readonly family: Family;
  readonly published: set.NftSet<PortKey>;
  readonly anywhere: set.NftSet<PortKey, Target>;
  readonly at: set.NftSet<AddressKey, Target>;
  readonly masq: set.NftSet<Ip, Verdict>;
  readonly owner: set.NftSet<OwnerKey, AddressKey>;
  /** The regular chain that translates. */
  readonly dnat: chain.Chain;
  /** Its comment is the mark of the layout. The other objects are made and removed together with it. */
  readonly base: chain.Chain;
}

/** NB: a change that another version could not handle needs another mark, and other names for the objects. */
export const MARK = 'netloom portmap, layout 1';

const proto: DataType<Proto> = inetProto;
const portKey = concatType<PortKey>(proto, inetService);
const ownerKey = concatType<OwnerKey>(mark, mark, mark);

const NFPROTO = { 4: 'ipv4', 6: 'ipv6' } as const;

export const layouts: Readonly<Record<Family, Layout>> = { 4: layoutOf(4, ipv4Addr), 6: layoutOf(6, ipv6Addr) };

/** The requests of a family's first endpoint. The chains must be new, or their rules would be added twice. */
export function layoutRequests(layout: Layout): Request[] {
  const { family, published, anywhere, at, base, dnat } = layout;
  const { out, snat, lo } = chainsOf(layout);
  const isPublished = [
    eq(meta.nfproto, NFPROTO[family]),
    inSet(concat<PortKey>(meta.l4proto, th.dport), published),
    verdict({ jump: dnat.name }),
  ];
  const byAddress = concat<AddressKey>(daddrOf(family), meta.l4proto, th.dport);
  return [
    table.add(netloomTable),
    ...setsOf(layout).map(set.create),
    chain.create(dnat),
    rule.add(dnat, [ne(fibType('daddr'), 'local'), verdict('return')]),
    // A reply would find no route back to ::1 (rt6_need_strict() of the kernel). An immediate refusal is better than
    // a timeout.
    ...(family === 6 ? [rule.add(dnat, [eq(ip6.daddr, Ip.parse('::1')), verdict('return')])] : []),
    rule.add(dnat, [dnatMap(family, byAddress, at, true)]),
    rule.add(dnat, [dnatMap(family, concat<PortKey>(meta.l4proto, th.dport), anywhere, true)]),
    ...[base, out].flatMap((each) => [chain.create(each), rule.add(each, isPublished)]),
    chain.create(snat),
    rule.add(snat, [has(ct.status, 'dnat'), vmap(daddrOf(family), layout.masq)]),
    ...(lo === undefined ? [] : loopbackRequests(lo)),
  ];
}

/** The requests that remove all of it. The kernel refuses them if somebody else's rule jumps to one of the chains. */
export function dismantle(layout: Layout): Request[] {
  const { out, snat, lo } = chainsOf(layout);
  const chains = [layout.base, out, snat, ...(lo === undefined ? [] : [lo]), layout.dnat];
  return [...chains.map(chain.remove), ...setsOf(layout).map(set.remove)];
}

function setsOf({ published, anywhere, at, masq, owner }: Layout): set.AnySet[] {
  return [published, anywhere, at, masq, owner] as set.AnySet[];
}

function chainsOf({ family }: Layout) {
  const fixed = (name: string, base: chain.BaseChain): chain.Chain => ({
    table: netloomTable,
    name: `portmap${family}-${name}`,
    base,
    comment: MARK,
  });
  return {
    out: fixed('out', { type: 'nat', hook: 'output', priority: chain.PRIORITY.dstnat }),
    snat: fixed('snat', { type: 'nat', hook: 'postrouting', priority: chain.PRIORITY.srcnat }),
    lo: family === 4 ? fixed('lo', { type: 'filter', hook: 'prerouting', priority: chain.PRIORITY.raw }) : undefined,
  };
}

function loopbackRequests(lo: chain.Chain): Request[] {
  return [
    chain.create(lo),
    rule.add(lo, [ne(meta.iifname, 'lo'), within(ip.daddr, Cidr.parse('127.0.0.0/8')), verdict('drop')]),
  ];
}

function layoutOf(family: Family, address: DataType<Ip>): Layout {
  const name = `portmap${family}`;
  const addressKey = concatType<AddressKey>(address, proto, inetService);
  const target = concatType<Target>(address, inetService);
  return {
    family,
    published: { table: netloomTable, name: `published${family}`, key: portKey, comment: 'ports of the host' },
    anywhere: { table: netloomTable, name, key: portKey, data: target, comment: 'on any address of the host' },
    at: {
      table: netloomTable,
      name: `${name}-at`,
      key: addressKey,
      data: target,
      comment: 'on one address of the host',
    },
    masq: {
      table: netloomTable,
      name: `${name}-masq`,
      key: address,
      data: 'verdict',
      comment: 'who is masqueraded to them',
    },
    owner: {
      table: netloomTable,
      name: `${name}-owner`,
      key: ownerKey,
      data: addressKey,
      comment: 'what each has published',
    },
    dnat: { table: netloomTable, name: `${name}-dnat`, comment: MARK },
    base: {
      table: netloomTable,
      name: `${name}-in`,
      base: { type: 'nat', hook: 'prerouting', priority: chain.PRIORITY.dstnat },
      comment: MARK,
    },
  };
}
