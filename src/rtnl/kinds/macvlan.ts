/**
 * A link with a MAC of its own on another link. IFLA_MACVLAN_* and enum macvlan_mode of linux/if_link.h;
 * drivers/net/macvlan.c.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { named, u32 } from '../../netlink/codec.ts';

/**
 * Which links of one master reach each other. private: none; vepa: all, through the switch outside; bridge: all,
 * locally. With passthru one link has the master to itself.
 */
export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 } as const;

export const macvlan = {
  mode: [1, named(u32, MACVLAN_MODES)],
  /** How many broadcast frames wait for the kernel's worker; since 5.11. */
  bcqueuelen: [7, u32],
} as const satisfies AttrTable;
