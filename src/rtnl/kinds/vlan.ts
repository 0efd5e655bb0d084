/** A link that is one VLAN of another. IFLA_VLAN_* of linux/if_link.h. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be16, u16 } from '../../netlink/codec.ts';

export const vlan = {
  id: [1, u16],
  protocol: [5, be16],
} as const satisfies AttrTable;
