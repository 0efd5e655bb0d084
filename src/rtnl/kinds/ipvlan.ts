/**
 * A link that shares the MAC of another and is told apart by its addresses. IFLA_IPVLAN_* of linux/if_link.h;
 * drivers/net/ipvlan.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { named, u16 } from '../../netlink/codec.ts';

/** Switched like frames; routed by the master's namespace; routed so that its netfilter hooks see the packets. */
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;

export const ipvlan = {
  mode: [1, named(u16, IPVLAN_MODES)],
} as const satisfies AttrTable;
