/** A link whose other end is a process. IFLA_TUN_* of linux/if_link.h: only read (src/ffi/tun.ts creates the links). */
import type { AttrTable } from '../../netlink/attribute.ts';
import { flag8, named, u8, u32 } from '../../netlink/codec.ts';

/** Packets or frames: IFF_TUN and IFF_TAP of linux/if_tun.h. */
export const TUN_TYPES = { tun: 1, tap: 2 } as const;

export const tun = {
  user: [1, u32],
  group: [2, u32],
  mode: [3, named(u8, TUN_TYPES)],
  persist: [6, flag8],
  multi_queue: [7, flag8],
} as const satisfies AttrTable;
