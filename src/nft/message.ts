/**
 * The header of every message to nf_tables, struct nfgenmsg of linux/netfilter/nfnetlink.h, and the message types of
 * nf_tables.h.
 */
import { be16, u8 } from '../netlink/codec.ts';
import { struct } from '../netlink/struct.ts';

/** NETLINK_NETFILTER */
export const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;

/**
 * NB: `resId` names the subsystem in the messages that frame a batch; elsewhere it is zero, and the kernel answers with
 * its generation.
 */
export const nfgenmsg = struct({ family: u8, version: u8, resId: be16 });

/** NFPROTO_*: the families that a table can have. */
export const NFPROTO = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const;
export type NftFamily = keyof typeof NFPROTO;

/** NFT_MSG_*, with the subsystem in the upper byte as nlmsg_type wants it. */
export const NFT_MSG = {
  NEWTABLE: type(0),
  GETTABLE: type(1),
  DELTABLE: type(2),
  NEWCHAIN: type(3),
  GETCHAIN: type(4),
  DELCHAIN: type(5),
  NEWRULE: type(6),
  GETRULE: type(7),
  DELRULE: type(8),
  NEWSET: type(9),
  GETSET: type(10),
  DELSET: type(11),
  NEWSETELEM: type(12),
  GETSETELEM: type(13),
  DELSETELEM: type(14),
  NEWGEN: type(15),
  GETGEN: type(16),
} as const;

function type(message: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | message;
}
