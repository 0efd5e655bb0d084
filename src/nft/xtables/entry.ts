/**
 * Entries of a legacy iptables table: the conditions of the entry itself, matches, and a target. struct ipt_entry of
 * linux/netfilter_ipv4/ip_tables.h, ip6t_entry of ip6_tables.h, xt_entry_match and xt_entry_target of x_tables.h.
 */
import { cString } from '../../ffi/libc.ts';
import type { Family } from '../../net/ip.ts';

/**
 * `match`: sizeof(struct ipt_entry), where the matches begin. `conditions`: how many bytes at its beginning hold its
 * conditions. `offsets`: where the offsets of its target and of the next entry are. The struct ends with its counters.
 */
const LAYOUT = {
  4: { match: 112, conditions: 84, offsets: 88 },
  6: { match: 168, conditions: 133, offsets: 140 },
} as const;
/** u64 packets, u64 bytes. */
export const COUNTERS_SIZE = 16;

/** A match and a target both begin with u16 size, char name[29], u8 revision; then comes their own data. */
const NAME_AT = 2;
const REVISION_AT = 31;
const DATA_AT = 32;
const ALIGNED = 8;

/**
 * Verdicts of a standard target: -NF_DROP - 1, -NF_ACCEPT - 1. If not negative, it is the offset of a chain to jump to.
 */
export const DROP = -1;
export const ACCEPT = -2;

export interface Match {
  readonly name: string;
  readonly revision: number;
  readonly data: Uint8Array;
}

/** The offset of the next entry. */
export function nextOf(entries: DataView, at: number, family: Family): number {
  return at + entries.getUint16(at + LAYOUT[family].offsets + 2, true);
}

/** The verdict of an entry; undefined if its target is not the standard one, which has no name. */
export function verdictOf(entries: DataView, at: number, family: Family): number | undefined {
  const place = verdictPlace(entries, at, family);
  return place === undefined ? undefined : entries.getInt32(place, true);
}

export function setVerdict(entries: DataView, at: number, family: Family, verdict: number): void {
  const place = verdictPlace(entries, at, family);
  if (place !== undefined) entries.setInt32(place, verdict, true);
}

/**
 * Whether an entry tests no address, interface or protocol: struct ipt_ip and ip6t_ip6 are all 0 then. Its matches may
 * still narrow it.
 */
export function isUnconditional(entries: DataView, at: number, family: Family): boolean {
  for (let i = 0; i < LAYOUT[family].conditions; i++) if (entries.getUint8(at + i) !== 0) return false;
  return true;
}

export function matchesOf(entries: DataView, at: number, family: Family): Match[] {
  const { match, offsets } = LAYOUT[family];
  const end = at + entries.getUint16(at + offsets, true);
  const found: Match[] = [];
  for (let place = at + match; place < end; ) {
    const size = entries.getUint16(place, true);
    if (size < DATA_AT || place + size > end) break;
    const bytes = new Uint8Array(entries.buffer, entries.byteOffset + place, size);
    found.push({ name: textAt(bytes, NAME_AT), revision: bytes[REVISION_AT] ?? 0, data: bytes.slice(DATA_AT) });
    place += size;
  }
  return found;
}

/** Reads a text that ends with a NUL. */
export function textAt(bytes: Uint8Array, start: number): string {
  let text = '';
  for (let i = start; i < bytes.length && bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i] ?? 0);
  return text;
}

/** An entry for every packet that has these matches, with a verdict. */
export function entryOf(family: Family, matches: readonly Match[], verdict: number): Uint8Array {
  const { match, offsets } = LAYOUT[family];
  let target: number = match;
  for (const { data } of matches) target += sizeOf(data.length);
  const end = target + sizeOf(Int32Array.BYTES_PER_ELEMENT);
  const entry = new Uint8Array(end);
  const view = new DataView(entry.buffer);
  view.setUint16(offsets, target, true);
  view.setUint16(offsets + 2, end, true);
  let at: number = match;
  for (const { name, revision, data } of matches) {
    view.setUint16(at, sizeOf(data.length), true);
    entry.set(cString(name), at + NAME_AT);
    entry[at + REVISION_AT] = revision;
    entry.set(data, at + DATA_AT);
    at += sizeOf(data.length);
  }
  view.setUint16(target, end - target, true);
  view.setInt32(target + DATA_AT, verdict, true);
  return entry;
}

/** XT_ALIGN */
function sizeOf(data: number): number {
  return DATA_AT + Math.ceil(data / ALIGNED) * ALIGNED;
}

function verdictPlace(entries: DataView, at: number, family: Family): number | undefined {
  const target = at + entries.getUint16(at + LAYOUT[family].offsets, true);
  return entries.getUint8(target + NAME_AT) === 0 ? target + DATA_AT : undefined;
}
