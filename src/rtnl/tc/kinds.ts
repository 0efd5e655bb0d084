/** The options of each kind of queueing discipline, class and filter. linux/pkt_sched.h, linux/pkt_cls.h. */
import { type AttrTable, list, malformed, nest } from '../../netlink/attribute.ts';
import { be16, be32, bytes, type Codec, s32, str, u8, u16, u32, u64 } from '../../netlink/codec.ts';
import { viewFrom } from '../../netlink/message.ts';
import { struct, structCodec } from '../../netlink/struct.ts';
import { ratespec, secondRatespec } from './rate.ts';

/** man 8 tc-tbf. struct tc_tbf_qopt: rate, peak rate, then u32 limit (bytes that wait), buffer and mtu (ticks). */
export const tbf = {
  parms: [1, structCodec('tbf', struct({ ...ratespec, ...secondRatespec, limit: u32, buffer: u32, mtu: u32 }))],
  rate64: [4, u64],
  /** Bytes, in place of the buffer in `parms`. Only written: the kernel reports the buffer. */
  burst: [6, u32],
} as const satisfies AttrTable;

/** man 8 tc-htb: the discipline (`init`, struct tc_htb_glob) and its classes (`parms`, struct tc_htb_opt). */
export const htb = {
  parms: [
    1,
    structCodec(
      'htb',
      struct({ ...ratespec, ...secondRatespec, buffer: u32, cbuffer: u32, quantum: u32, level: u32, prio: u32 }),
    ),
  ],
  init: [
    2,
    structCodec('htb-init', struct({ version: u32, rate2quantum: u32, defaultClass: u32, debug: u32, direct: u32 })),
  ],
  rate64: [6, u64],
  ceil64: [7, u64],
} as const satisfies AttrTable;

/** The value that a word of a packet has under a mask. Offsets count from the network header. struct tc_u32_key. */
export interface U32Key {
  readonly mask: number;
  readonly value: number;
  readonly offset: number;
}

export interface U32Selector {
  readonly keys: readonly U32Key[];
}

const TC_U32_TERMINAL = 1;
const selector = struct({
  flags: u8,
  offshift: u8,
  nkeys: u8,
  pad: u8,
  offmask: be16,
  off: u16,
  offoff: u16,
  hoff: u16,
  hmask: be32,
});
const key = struct({ mask: be32, value: be32, offset: s32, offmask: s32 });

/** struct tc_u32_sel: a packet must match all keys. Without a key, every packet matches. */
const u32Selector: Codec<U32Selector> = {
  name: 'u32-selector',
  write(out, { keys }) {
    selector.write(out, { flags: TC_U32_TERMINAL, nkeys: keys.length });
    for (const { mask, value, offset } of keys) key.write(out, { mask, value, offset });
  },
  read(view) {
    const { nkeys } = selector.read(view);
    const keys: U32Key[] = [];
    for (let i = 0; i < nkeys; i++) {
      const at = selector.size + i * key.size;
      if (at > view.byteLength) throw malformed(`a selector of ${nkeys} keys in ${view.byteLength} bytes`);
      const { mask, value, offset } = key.read(viewFrom(view, at));
      keys.push({ mask, value, offset });
    }
    return { keys };
  },
};

/** struct tc_mirred: the five numbers that every action has, then what it does and the link that it does it with. */
const mirredParms = struct({
  index: u32,
  capabilities: u32,
  action: s32,
  references: s32,
  bindings: s32,
  mirredAction: s32,
  link: u32,
});

/** man 8 tc-mirred. */
export const mirred = { parms: [2, structCodec('mirred', mirredParms)] } as const satisfies AttrTable;

/** An action of a filter. What its options mean depends on the kind. */
const action = { kind: [1, str], options: [2, bytes] } as const satisfies AttrTable;

/** man 8 tc-u32. */
export const u32Filter = {
  class: [1, u32],
  selector: [5, u32Selector],
  actions: [7, list(1, nest(action))],
} as const satisfies AttrTable;
