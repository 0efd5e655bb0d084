/**
 * A link that shares the MAC of its master and is distinguished by its addresses. IFLA_IPVLAN_* of linux/if_link.h;
 * drivers/net/ipvlan.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { named, u16 } from '../../netlink/codec.ts';

/**
 * l2: switched like frames; l3: routed by the master's namespace; l3s: as l3, but its netfilter hooks see the packets.
 */
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;

export const ipvlan = {
  mode: [1, named(u16, IPVLAN_MODES)],
} as const satisfies AttrTable;
