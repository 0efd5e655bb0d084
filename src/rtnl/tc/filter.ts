/** Filters: which class a packet belongs to, or where it goes instead. man 8 tc-u32, tc-mirred. */
import type { Cidr } from '../../net/cidr.ts';
import { nest, readAttrs, writeAttrs } from '../../netlink/attribute.ts';
import { type Message, NLM_F, type Request, request } from '../../netlink/message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { Writer } from '../../netlink/writer.ts';
import { RTM } from '../constants.ts';
import { word } from '../words.ts';
import { mirred, type U32Key, u32Filter } from './kinds.ts';
import { filterKind, handleText, tcKind } from './message.ts';
import { viewOf } from './qdisc.ts';

const u32Kind = tcKind('filter', { options: [2, nest(u32Filter)] });

/** ETH_P_* of linux/if_ether.h: which packets a filter looks at. */
export const ETH_P = { ALL: 0x0003, IP: 0x0800, IPV6: 0x86dd } as const;

/** The action consumes the packet, so nothing else gets it (TC_ACT_STOLEN). */
const STOLEN = 4;
/** The packet leaves by the other link instead (TCA_EGRESS_REDIR). */
const REDIRECT = 1;
const TC_WORDS: Readonly<Record<number, string>> = { [ETH_P.ALL]: 'all', [ETH_P.IP]: 'ip', [ETH_P.IPV6]: 'ipv6' };

export interface FilterSpec {
  readonly link: number;
  /** The discipline that the filter belongs to. */
  readonly parent: number;
  /** Lower ones come first. NB: all filters of one priority have the same protocol. */
  readonly priority: number;
  /** ETH_P_*. */
  readonly protocol: number;
  /** All of them must match; without any, every packet does. */
  readonly keys: readonly U32Key[];
  /** The class of the packets that match. */
  readonly class?: number;
  /** Index of the link that matching packets leave by instead. */
  readonly redirect?: number;
}

/**
 * Adds a filter on words of the packet.
 * Equivalent to: `tc filter add dev LINK parent 1: prio 1 protocol ip u32 match ip dst 10.1.0.0/16 flowid 1:1`
 * @throws NetlinkError EINVAL when there is no such discipline
 */
export function addU32(filter: FilterSpec): Request {
  const { link, parent, priority, protocol, keys, redirect } = filter;
  return request(
    u32Kind,
    RTM.NEWTFILTER,
    NLM_F.CREATE | NLM_F.EXCL,
    { index: link, parent, info: ((priority << 16) | swapped(protocol)) >>> 0 },
    {
      kind: 'u32',
      options: {
        ...(filter.class !== undefined && { class: filter.class }),
        selector: { keys },
        ...(redirect !== undefined && {
          actions: [{ kind: 'mirred', options: redirection(redirect) }],
        }),
      },
    },
    {
      action: () => `filter packets of the link with index ${link}`,
      command: () =>
        [
          `tc filter add dev if${link} parent ${handleText(parent)} prio ${priority} protocol ${TC_WORDS[protocol] ?? protocol} u32`,
          ...(keys.length === 0 ? ['match u32 0 0'] : keys.map(matchWords)),
          ...word('flowid', filter.class === undefined ? undefined : handleText(filter.class)),
          ...word('action mirred egress redirect dev', redirect === undefined ? undefined : `if${redirect}`),
        ].join(' '),
    },
  );
}

/**
 * Lists the filters of a discipline. Those that are not u32 have no keys.
 * Equivalent to: `tc filter show dev LINK parent PARENT`
 */
export function list(nl: NetlinkSocket, link: number, parent: number): FilterSpec[] {
  const all = request(
    filterKind,
    RTM.GETTFILTER,
    0,
    { index: link, parent },
    {},
    {
      action: () => `list the filters of the link with index ${link}`,
      command: () => `tc filter show dev if${link} parent ${handleText(parent)}`,
    },
  );
  return nl.dump(all).flatMap(filterOf);
}

/** The keys that match an address within a prefix. */
export function addressKeys(side: 'src' | 'dst', prefix: Cidr): U32Key[] {
  const start = prefix.family === 4 ? { src: 12, dst: 16 }[side] : { src: 8, dst: 24 }[side];
  const { bytes } = prefix.first();
  const keys: U32Key[] = [];
  for (let bit = 0; bit < prefix.prefix || bit === 0; bit += 32) {
    const length = Math.min(32, prefix.prefix - bit);
    const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
    const word = new DataView(bytes.buffer, bytes.byteOffset + bit / 8).getUint32(0);
    keys.push({ mask, value: (word & mask) >>> 0, offset: start + bit / 8 });
  }
  return keys;
}

/** NB: each list of u32 filters begins with its hash table, which has no selector. */
function filterOf({ header, attrs }: Message<typeof filterKind>): FilterSpec[] {
  const common = {
    link: header.index,
    parent: header.parent,
    priority: header.info >>> 16,
    protocol: swapped(header.info & 0xffff),
  };
  if (attrs.kind !== 'u32') return [{ ...common, keys: [] }];
  const { selector, class: classId, actions = [] } = readAttrs(u32Filter, viewOf(attrs.options));
  if (selector === undefined) return [];
  const action = actions.find(({ kind }) => kind === 'mirred');
  const redirect = readAttrs(mirred, viewOf(action?.options)).parms?.link;
  return [
    {
      ...common,
      keys: selector.keys,
      ...(classId !== undefined && { class: classId }),
      ...(redirect !== undefined && { redirect }),
    },
  ];
}

/** The options of the action that redirects packets to a link. */
function redirection(link: number): Uint8Array {
  const out = new Writer();
  writeAttrs(out, mirred, { parms: { action: STOLEN, mirredAction: REDIRECT, link } });
  return out.bytes;
}

/** The protocol is in network byte order, within a number in host byte order. */
function swapped(protocol: number): number {
  return ((protocol & 0xff) << 8) | (protocol >>> 8);
}

function matchWords({ mask, value, offset }: U32Key): string {
  return `match u32 0x${value.toString(16)} 0x${mask.toString(16)} at ${offset}`;
}
