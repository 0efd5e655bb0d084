/**
 * A switch in the kernel. IFLA_BR_* and IFLA_BRPORT_* of linux/if_link.h; names are those of
 * `ip link set … type bridge`.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be16, flag8, mac, u8, u16, u32 } from '../../netlink/codec.ts';

/** IFLA_INFO_DATA of a bridge. Times are in hundredths of a second. */
export const bridge = {
  forward_delay: [1, u32],
  hello_time: [2, u32],
  max_age: [3, u32],
  ageing_time: [4, u32],
  stp_state: [5, u32],
  priority: [6, u16],
  vlan_filtering: [7, flag8],
  vlan_protocol: [8, be16],
  group_fwd_mask: [9, u16],
  group_address: [20, mac],
  mcast_snooping: [23, flag8],
  nf_call_iptables: [36, flag8],
  nf_call_ip6tables: [37, flag8],
  vlan_default_pvid: [39, u16],
} as const satisfies AttrTable;

/** IFLA_INFO_SLAVE_DATA of a link that is a port of a bridge. */
export const bridgePort = {
  state: [1, u8],
  priority: [2, u16],
  cost: [3, u32],
  hairpin: [4, flag8],
  guard: [5, flag8],
  root_block: [6, flag8],
  fastleave: [7, flag8],
  learning: [8, flag8],
  flood: [9, flag8],
  proxy_arp: [10, flag8],
  mcast_flood: [27, flag8],
  neigh_suppress: [32, flag8],
  isolated: [33, flag8],
} as const satisfies AttrTable;

/** `state` of a port that forwards frames (BR_STATE_FORWARDING). */
export const PORT_FORWARDING = 3;
