/** Addresses of links. man 8 ip-address; ifaddrmsg and IFA_* of linux/if_addr.h. */

import { Cidr } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import { type AttrTable, malformed } from '../netlink/attribute.ts';
import { ip, s32, str, u8, u32 } from '../netlink/codec.ts';
import { type Message, type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { struct } from '../netlink/struct.ts';
import { AF, RTM } from './constants.ts';
import { familyNumber } from './family.ts';

export const addrKind = {
  name: 'address',
  /** u8 family, u8 prefix length, u8 flags (the low eight), u8 scope, s32 link */
  header: struct({ family: u8, prefix: u8, flags: u8, scope: u8, index: s32 }),
  attrs: {
    /** On a point-to-point link the other end's address, otherwise the same as `local`. */
    address: [1, ip],
    local: [2, ip],
    label: [3, str],
    broadcast: [4, ip],
    flags: [8, u32],
    metric: [9, u32],
    /** In a request: the namespace to list, by its nsid in ours. */
    targetNetnsid: [10, s32],
    protocol: [11, u8],
  } satisfies AttrTable,
} as const satisfies MessageKind;

/** IFA_F_* */
export const IFA_F = { NODAD: 0x02, DADFAILED: 0x08, TENTATIVE: 0x40, PERMANENT: 0x80, NOPREFIXROUTE: 0x200 } as const;

/** Multicast group of the notifications about IPv6 addresses. */
export const RTNLGRP_IPV6_IFADDR = 9;

/** An address as the kernel describes it. */
export interface Address {
  readonly link: number;
  readonly address: Cidr;
  /** IFA_F_* bits. */
  readonly flags: number;
  /** RT_SCOPE_*: 0 the world, 253 the link, 254 this machine. */
  readonly scope: number;
  /** IPv4 only, and only where one was set. */
  readonly broadcast?: Ip;
}

export interface AddressOptions {
  /** IPv6 only: use the address at once, without duplicate address detection. */
  readonly nodad?: boolean;
  /** Do not add the route to the address's subnet. */
  readonly noPrefixRoute?: boolean;
  /** IPv4 only: set the broadcast address, the last of the subnet. Default: true, where the subnet has one. */
  readonly broadcast?: boolean;
}

/**
 * Adds an address to a link.
 * Equivalent to: `ip addr add 10.1.0.2/24 brd + dev LINK`
 * @throws NetlinkError EEXIST when the link has it already
 */
export function add(link: number, address: Cidr, options: AddressOptions = {}): Request {
  const flags = (options.nodad === true ? IFA_F.NODAD : 0) | (options.noPrefixRoute === true ? IFA_F.NOPREFIXROUTE : 0);
  // NB: /31 and /32 have no broadcast address (RFC 3021).
  const hasBroadcast = address.family === 4 && address.prefix < 31 && options.broadcast !== false;
  return request(
    addrKind,
    RTM.NEWADDR,
    NLM_F.CREATE | NLM_F.EXCL,
    { family: familyNumber(address.family), prefix: address.prefix, index: link },
    {
      local: address.ip,
      address: address.ip,
      ...(hasBroadcast && { broadcast: address.last() }),
      ...(flags !== 0 && { flags }),
    },
    {
      action: () => `add address ${address} to link ${link}`,
      command: () =>
        ['ip addr add', `${address}`, ...addWords(address, options, hasBroadcast), `dev if${link}`].join(' '),
    },
  );
}

/** NB: `ip` accepts nodad for IPv6 only; for IPv4 it has no effect. */
function addWords({ family }: Cidr, { nodad, noPrefixRoute }: AddressOptions, hasBroadcast: boolean): string[] {
  return [
    ...(hasBroadcast ? ['brd +'] : []),
    ...(nodad === true && family === 6 ? ['nodad'] : []),
    ...(noPrefixRoute === true ? ['noprefixroute'] : []),
  ];
}

/**
 * Removes an address from a link.
 * Equivalent to: `ip addr del 10.1.0.2/24 dev LINK`
 * @throws NetlinkError EADDRNOTAVAIL when the link does not have it
 */
export function remove(link: number, address: Cidr): Request {
  return request(
    addrKind,
    RTM.DELADDR,
    0,
    { family: familyNumber(address.family), prefix: address.prefix, index: link },
    { local: address.ip, address: address.ip },
    {
      action: () => `remove address ${address} from link ${link}`,
      command: () => `ip addr del ${address} dev if${link}`,
    },
  );
}

/**
 * Lists the addresses of a namespace, or only those of one link or family. Another namespace is given by its nsid in
 * ours (kernel 4.20).
 * Equivalent to: `ip addr show dev LINK`
 */
export function list(
  nl: NetlinkSocket,
  only: { readonly link?: number; readonly family?: Family; readonly targetNetnsid?: number } = {},
): Address[] {
  const header = { family: only.family === undefined ? AF.UNSPEC : familyNumber(only.family), index: only.link ?? 0 };
  const all = request(
    addrKind,
    RTM.GETADDR,
    0,
    header,
    only.targetNetnsid === undefined ? {} : { targetNetnsid: only.targetNetnsid },
    {
      action: () => 'list the addresses',
      command: () => 'ip addr show',
    },
  );
  // Kernels before 4.20 ignore the index.
  return nl
    .dump(all)
    .map(addressOf)
    .filter(({ link }) => only.link === undefined || link === only.link);
}

function addressOf({ header, attrs }: Message<typeof addrKind>): Address {
  const ip = attrs.local ?? attrs.address;
  if (ip === undefined) throw malformed(`an address of link ${header.index} without the address`);
  return {
    link: header.index,
    address: new Cidr(ip, header.prefix),
    flags: attrs.flags ?? header.flags,
    scope: header.scope,
    ...(attrs.broadcast !== undefined && { broadcast: attrs.broadcast }),
  };
}
