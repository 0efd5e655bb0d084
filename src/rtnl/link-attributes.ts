/**
 * What a link message consists of, except for the part that depends on its kind. ifinfomsg of linux/rtnetlink.h, IFLA_*
 * of linux/if_link.h.
 */
import type { AttrTable } from '../netlink/attribute.ts';
import { bytes, mac, s32, str, u8, u16, u32 } from '../netlink/codec.ts';
import { struct } from '../netlink/struct.ts';

/** u8 family, u8 pad, u16 type (ARPHRD_*), s32 index, u32 flags (IFF_*), u32 change (mask of the flags to change). */
export const ifinfomsg = struct({ family: u8, pad: u8, type: u16, index: s32, flags: u32, change: u32 });

/** The names are those of `ip link`, so that the equivalent command can be read off them. */
export const baseAttrs = {
  address: [1, mac],
  broadcast: [2, mac],
  name: [3, str],
  mtu: [4, u32],
  /** The index of the link below, or of a veth's other end. */
  link: [5, u32],
  qdisc: [6, str],
  /** The index of the link that this one is a port of; 0 removes it from its master. */
  master: [10, u32],
  txqueuelen: [13, u32],
  operstate: [16, u8],
  /** A process whose namespace the link goes to. */
  netnsPid: [19, u32],
  alias: [20, str],
  group: [27, u32],
  /** An open namespace that the link goes to. */
  netnsFd: [28, u32],
  extMask: [29, u32],
  promiscuity: [30, u32],
  numTxQueues: [31, u32],
  numRxQueues: [32, u32],
  carrier: [33, u8],
  /** The namespace of `link`, by its nsid in this one. */
  linkNetnsid: [37, s32],
  /** In the answer to a GET: all altnames of the link. */
  propList: [52, bytes],
  altname: [53, str],
  permAddress: [54, mac],
} as const satisfies AttrTable;
