/**
 * The parts that all messages of traffic control share: those of queueing disciplines, classes and filters. tcmsg and
 * TCA_* of linux/rtnetlink.h; man 8 tc.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { bytes, s32, str, u8, u16, u32 } from '../../netlink/codec.ts';
import type { MessageKind } from '../../netlink/message.ts';
import { struct } from '../../netlink/struct.ts';

/** u8 family, padding, s32 link, u32 handle, u32 parent, u32 info (for a filter: its priority and protocol). */
const tcmsg = struct({ family: u8, pad: u8, pad2: u16, index: s32, handle: u32, parent: u32, info: u32 });

/** The attributes, with the options undecoded: their meaning depends on `kind`. */
const tcAttrs = {
  kind: [1, str],
  options: [2, bytes],
  chain: [11, u32],
} as const satisfies AttrTable;

/** A message of a known kind, whose options have a table. */
export function tcKind<const T extends AttrTable>(name: string, options: T) {
  return { name, header: tcmsg, attrs: { kind: tcAttrs.kind, ...options } } as const satisfies MessageKind;
}

export const qdiscKind = { name: 'queueing discipline', header: tcmsg, attrs: tcAttrs } as const satisfies MessageKind;
export const classKind = { name: 'class', header: tcmsg, attrs: tcAttrs } as const satisfies MessageKind;
export const filterKind = { name: 'filter', header: tcmsg, attrs: tcAttrs } as const satisfies MessageKind;

/**
 * Where a queueing discipline may be attached to a link: for all that leaves it, and for all that comes in. TC_H_ROOT
 * and TC_H_INGRESS.
 */
export const TC_H = { ROOT: 0xffffffff, INGRESS: 0xfffffff1 } as const;

/** The handle that the queueing discipline at INGRESS always has. */
export const INGRESS_HANDLE = 0xffff0000;

/** A handle from its two numbers: 1:30 (hexadecimal) is handle(1, 0x30). */
export function handle(major: number, minor = 0): number {
  return ((major << 16) | minor) >>> 0;
}

/** A handle as tc writes it. */
export function handleText(value: number): string {
  if (value === TC_H.ROOT) return 'root';
  if (value === TC_H.INGRESS) return 'ingress';
  const minor = value & 0xffff;
  return `${(value >>> 16).toString(16)}:${minor === 0 ? '' : minor.toString(16)}`;
}
