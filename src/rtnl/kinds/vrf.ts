/** A routing table of its own for the links that are its ports. IFLA_VRF_* of linux/if_link.h. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { u32 } from '../../netlink/codec.ts';

export const vrf = {
  table: [1, u32],
} as const satisfies AttrTable;
