/**
 * Entries of connection tracking: IPCTNL_MSG_CT_* with CTA_*. linux/netfilter/nfnetlink_conntrack.h, man 8 conntrack.
 */
import type { Family, Ip } from '../../net/ip.ts';
import { type Attrs, type AttrTable, nest } from '../../netlink/attribute.ts';
import { be16, be32, ip4, ip6, u8, u32 } from '../../netlink/codec.ts';
import { type Message, type MessageKind, type Request, request } from '../../netlink/message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { familyNumber } from '../../rtnl/family.ts';
import { nfgenmsg } from '../message.ts';

const NFNL_SUBSYS_CTNETLINK = 1;

/** IPCTNL_MSG_CT_*, with the subsystem in the upper byte. */
export const CT = {
  NEW: NFNL_SUBSYS_CTNETLINK << 8,
  GET: (NFNL_SUBSYS_CTNETLINK << 8) | 1,
  DELETE: (NFNL_SUBSYS_CTNETLINK << 8) | 2,
} as const;

/** CTA_IP_*. */
const addresses = {
  src4: [1, ip4],
  dst4: [2, ip4],
  src6: [3, ip6],
  dst6: [4, ip6],
} as const satisfies AttrTable;

/** CTA_PROTO_*. Attributes of protocols without ports are kept in `other` and sent back unchanged. */
const transport = {
  number: [1, u8],
  srcPort: [2, be16],
  dstPort: [3, be16],
} as const satisfies AttrTable;

/** CTA_TUPLE_*. */
const tuple = {
  addresses: [1, nest(addresses)],
  transport: [2, nest(transport)],
  zone: [3, be16],
} as const satisfies AttrTable;

/** CTA_FILTER_*. */
const filter = {
  original: [1, u32],
  reply: [2, u32],
} as const satisfies AttrTable;

const attrs = {
  original: [1, nest(tuple)], // CTA_TUPLE_ORIG
  reply: [2, nest(tuple)], // CTA_TUPLE_REPLY
  id: [12, be32], // CTA_ID
  zone: [18, be16], // CTA_ZONE
  filter: [25, nest(filter)], // CTA_FILTER, since 5.8; older kernels ignore it
} as const satisfies AttrTable;

/** CTA_FILTER_F_*: which parts of a tuple must be the same. net/netfilter/nf_internals.h */
const SAME = { src: 1 << 0, protocol: 1 << 3, dstPort: 1 << 5 } as const;

export const entryKind = { name: 'conntrack', header: nfgenmsg, attrs } as const satisfies MessageKind;

type Tuple = Attrs<typeof tuple>;

/** A connection that the kernel tracks, with the attributes needed to delete it. */
export interface Entry {
  readonly protocol: number;
  /** The source of the first packet. */
  readonly source: Ip | undefined;
  /** The destination of the first packet. */
  readonly destination: Ip | undefined;
  readonly port: number | undefined;
  /** The source of the replies: differs from `destination` if that was translated (DNAT). */
  readonly answerer: Ip | undefined;
  readonly answererPort: number | undefined;
  /** The destination of the replies: differs from `source` if that was translated (SNAT). */
  readonly asker: Ip | undefined;
  readonly askerPort: number | undefined;
  readonly attrs: Message<typeof entryKind>['attrs'];
  readonly family: Family;
}

/**
 * Which entries the kernel should list: all of a protocol, those with a destination port of the first packet, those
 * with a destination port of the replies, or those with a source address of the replies.
 */
export type Wanted =
  | { readonly protocol: number }
  | { readonly protocol: number; readonly port: number }
  | { readonly protocol: number; readonly askerPort: number }
  | { readonly answerer: Ip };

/**
 * The entries of a family. NB: kernels before 5.8 list all of them, whatever is wanted. For an IPv6 address every
 * kernel does.
 * Equivalent to: `conntrack -L -p udp --dport 53`
 */
export function list(nft: NetlinkSocket, family: Family, wanted: Wanted): Entry[] {
  const asked = request(entryKind, CT.GET, 0, { family: familyNumber(family) }, templateOf(family, wanted), {
    action: () => 'list the entries of connection tracking',
    command: () => `conntrack -L -f ipv${family}`,
  });
  return nft.dump(asked).map(({ attrs }) => entryOf(family, attrs));
}

/**
 * Deletes one entry. The kernel answers ENOENT if it is gone or has been replaced.
 * Equivalent to: `conntrack -D …`
 */
export function remove({ family, attrs: { original = {}, id, zone } }: Entry): Request {
  return request(
    entryKind,
    CT.DELETE,
    0,
    { family: familyNumber(family) },
    // NB: without a tuple the kernel would delete all of them.
    { original, ...(id !== undefined && { id }), ...(zone !== undefined && { zone }) },
    {
      action: () => 'delete an entry of connection tracking',
      command: () =>
        `conntrack -D -f ipv${family} -p ${original.transport?.number} --dport ${original.transport?.dstPort}`,
    },
  );
}

function templateOf(family: Family, wanted: Wanted): Attrs<typeof attrs> {
  if ('answerer' in wanted) {
    // NB: not for IPv6. There the kernel leaves out the matching entries and lists the others:
    // ctnetlink_filter_match_tuple() reads the result of ipv6_addr_cmp() the wrong way round; 0 means equal (seen on
    // 6.18, see test/nft/ct.test.ts).
    if (family === 6) return {};
    return { reply: { addresses: { src4: wanted.answerer } }, filter: { original: 0, reply: SAME.src } };
  }
  const to = (dstPort: number): Tuple => ({ transport: { number: wanted.protocol, dstPort } });
  const flags = SAME.protocol | SAME.dstPort;
  if ('port' in wanted) return { original: to(wanted.port), filter: { original: flags, reply: 0 } };
  if ('askerPort' in wanted) return { reply: to(wanted.askerPort), filter: { original: 0, reply: flags } };
  return { original: { transport: { number: wanted.protocol } }, filter: { original: SAME.protocol, reply: 0 } };
}

function entryOf(family: Family, attrs: Entry['attrs']): Entry {
  const { original, reply } = attrs;
  return {
    family,
    protocol: original?.transport?.number ?? 0,
    source: original?.addresses?.src4 ?? original?.addresses?.src6,
    destination: original?.addresses?.dst4 ?? original?.addresses?.dst6,
    port: original?.transport?.dstPort,
    answerer: reply?.addresses?.src4 ?? reply?.addresses?.src6,
    answererPort: reply?.transport?.srcPort,
    asker: reply?.addresses?.dst4 ?? reply?.addresses?.dst6,
    askerPort: reply?.transport?.dstPort,
    attrs,
  };
}
