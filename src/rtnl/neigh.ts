/** Neighbours: which link layer address an address has. man 8 ip-neighbour; ndmsg and NDA_* of linux/neighbour.h. */

import type { Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { AttrTable } from '../netlink/attribute.ts';
import { be16, ip, mac, s32, u8, u16, u32 } from '../netlink/codec.ts';
import { type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { struct } from '../netlink/struct.ts';
import { AF, RTM } from './constants.ts';
import { familyNumber, familyOf } from './family.ts';

export const neighKind = {
  name: 'neighbour',
  header: struct({ family: u8, pad: u8, pad2: u16, index: s32, state: u16, flags: u8, type: u8 }),
  attrs: {
    dst: [1, ip],
    lladdr: [2, mac],
    probes: [4, u32],
    vlan: [5, u16],
    /** In the FDB of a tunnel: the UDP port, the VNI and the link to the station. */
    port: [6, be16],
    vni: [7, u32],
    /** In a dump: the link whose entries to list. */
    ifindex: [8, u32],
    master: [9, u32],
  } satisfies AttrTable,
} as const satisfies MessageKind;

/** NUD_*: what the kernel knows about a neighbour. */
export const NUD = { REACHABLE: 0x02, STALE: 0x04, FAILED: 0x20, PERMANENT: 0x80 } as const;

export interface Neighbour {
  readonly link: number;
  readonly ip: Ip;
  readonly mac: Mac | undefined;
  /** NUD_* bits. */
  readonly state: number;
}

/**
 * Adds a neighbour, or replaces the one with that address.
 * Equivalent to: `ip neigh replace IP lladdr MAC dev LINK nud permanent`
 */
export function replace(link: number, address: Ip, lladdr: Mac, state: number = NUD.PERMANENT): Request {
  return request(
    neighKind,
    RTM.NEWNEIGH,
    NLM_F.CREATE | NLM_F.REPLACE,
    { family: familyNumber(address.family), index: link, state },
    { dst: address, lladdr },
    {
      action: () => `set the neighbour ${address} of link ${link} to ${lladdr}`,
      command: () => `ip neigh replace ${address} lladdr ${lladdr} dev if${link}`,
    },
  );
}

/** Removes a neighbour. Equivalent to: `ip neigh del IP dev LINK` @throws NetlinkError ENOENT when there is none */
export function remove(link: number, address: Ip): Request {
  return request(
    neighKind,
    RTM.DELNEIGH,
    0,
    { family: familyNumber(address.family), index: link },
    { dst: address },
    {
      action: () => `remove the neighbour ${address} of link ${link}`,
      command: () => `ip neigh del ${address} dev if${link}`,
    },
  );
}

/**
 * Lists the neighbours of both families, of all links or of one.
 * Equivalent to: `ip neigh show`, `ip neigh show dev LINK`
 */
export function list(nl: NetlinkSocket, only: { readonly link?: number } = {}): Neighbour[] {
  const all = request(
    neighKind,
    RTM.GETNEIGH,
    0,
    { family: AF.UNSPEC },
    only.link === undefined ? {} : { ifindex: only.link },
    {
      action: () => 'list the neighbours',
      command: () => `ip neigh show${only.link === undefined ? '' : ` dev if${only.link}`}`,
    },
  );
  return nl.dumpAs(all, ({ header, attrs }) =>
    attrs.dst === undefined ||
    familyOf(header.family) === undefined ||
    (only.link !== undefined && header.index !== only.link)
      ? []
      : [{ link: header.index, ip: attrs.dst, mac: attrs.lladdr, state: header.state }],
  );
}
