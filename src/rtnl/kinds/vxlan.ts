/**
 * A tunnel of Ethernet frames in UDP. IFLA_VXLAN_* of linux/if_link.h; drivers/net/vxlan; RFC 7348. The names are those
 * of `ip link add type vxlan`.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be16, flag8, ip4, ip6, named, u8, u32 } from '../../netlink/codec.ts';

/** Whether packets on the underlay may be fragmented. IFLA_VXLAN_DF, since 4.19; enum ifla_vxlan_df. */
export const VXLAN_DF = { unset: 0, set: 1, inherit: 2 } as const;

export const vxlan = {
  /** The VNI, 24 bits. */
  id: [1, u32],
  /** Where frames go whose MAC has no FDB entry: one station, or a multicast group. */
  remote: [2, ip4],
  /**
   * The index of the link that packets leave by; without it, routes decide. NB: with it the kernel silently cuts the
   * MTU to what fits that link.
   */
  dev: [3, u32],
  /** The source address of the packets. Its family is that of the underlay. */
  local: [4, ip4],
  ttl: [5, u8],
  tos: [6, u8],
  /** Whether the source of a received frame becomes an FDB entry. */
  learning: [7, flag8],
  /** Seconds until a learned entry expires. */
  ageing: [8, u32],
  maxaddress: [9, u32],
  /** Answer ARP and neighbour solicitations from the neighbours of this link. */
  proxy: [11, flag8],
  rsc: [12, flag8],
  l2miss: [13, flag8],
  l3miss: [14, flag8],
  /** The UDP port. NB: without it the kernel takes 8472; the one of RFC 7348 is 4789. */
  dstport: [15, be16],
  remote6: [16, ip6],
  local6: [17, ip6],
  udpcsum: [18, flag8],
  udp6zerocsumtx: [19, flag8],
  udp6zerocsumrx: [20, flag8],
  df: [29, named(u8, VXLAN_DF)],
} as const satisfies AttrTable;
