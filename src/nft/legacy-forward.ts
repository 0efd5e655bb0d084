/**
 * The forward chain of the legacy iptables (xtables), which has a table of its own in the kernel beside those of nf_tables. Its rules are replaced as a whole, by whoever holds a lock among
 * programs of iptables, so netloom writes none there. It looks: where that chain drops what no rule accepts, only a rule in it can help, the same one for every container, since what netloom
 * lets pass has a mark by then (firewall.ts). linux/netfilter_ipv4/ip_tables.h, ip6_tables.h, x_tables.h
 */
import { hasCode } from '../error.ts';
import { Fd, tryReadText } from '../ffi/file.ts';
import { check, cString, libc } from '../ffi/libc.ts';
import { getSocketOption } from '../ffi/socket-option.ts';
import type { Family } from '../net/ip.ts';
import { FORWARD_MARK } from './iptables-forward.ts';

const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_RAW = 255;
/** IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, IP6T_… alike. */
const GET_INFO = 64;
const GET_ENTRIES = 65;

const TABLE = 'filter';
/** NF_INET_FORWARD. */
const FORWARD = 2;
const HOOKS = 5;

/** struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size. Hooks begin at an entry, and their policy is another. */
const INFO_SIZE = 84;
const VALID_AT = 32;
const ENTRY_AT = 36;
const UNDERFLOW_AT = 56;
const SIZE_AT = 80;
/** struct ipt_get_entries: name, size, padding. */
const ENTRIES_AT = 40;
const ENTRIES_SIZE_AT = 32;

/** What the families differ in. `match` is sizeof(struct ipt_entry); the offsets of target and next entry stand at `offsets`. */
const FAMILIES = {
  4: { af: 2, level: 0, names: 'ip_tables_names', program: 'iptables-legacy', match: 112, offsets: 88 },
  6: { af: 10, level: 41, names: 'ip6_tables_names', program: 'ip6tables-legacy', match: 168, offsets: 140 },
} as const;

/** struct xt_entry_match and xt_entry_target: size, name, revision; then their own. */
const NAME_AT = 2;
const DATA_AT = 32;
/** Verdicts of a standard target: -NF_DROP - 1, -NF_ACCEPT - 1. */
const DROP = -1;
const ACCEPT = -2;

const rule = `FORWARD -m mark --mark 0x${FORWARD_MARK.toString(16)}/0x${FORWARD_MARK.toString(16)} -j ACCEPT`;

/** Equivalent to: `iptables-legacy -S FORWARD`, read. @returns the command that lets pass what netloom allows; undefined where nothing is in the way */
export function legacyWayOut(family: Family): string | undefined {
  const { program, names } = FAMILIES[family];
  // NB: the kernel makes a table when it is asked about, so it is asked only about one that is there.
  if (tryReadText(`/proc/thread-self/net/${names}`)?.split('\n').includes(TABLE) !== true) return undefined;
  const found = readTable(family);
  return found !== undefined && drops(found, family) ? `${program} -I ${rule}` : undefined;
}

interface Table {
  readonly info: DataView;
  readonly entries: DataView;
}

/** Undefined where it changed in between: then whoever changes it is to be asked. */
function readTable(family: Family): Table | undefined {
  const { af, level } = FAMILIES[family];
  using socket = new Fd(check(libc.socket(af, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), 'open a raw socket'));
  const info = new Uint8Array(INFO_SIZE);
  info.set(cString(TABLE));
  getSocketOption(socket.number, level, GET_INFO, info, `read the table "${TABLE}" of iptables`);
  const view = new DataView(info.buffer);
  const size = view.getUint32(SIZE_AT, true);
  const entries = new Uint8Array(ENTRIES_AT + size);
  entries.set(cString(TABLE));
  new DataView(entries.buffer).setUint32(ENTRIES_SIZE_AT, size, true);
  try {
    getSocketOption(socket.number, level, GET_ENTRIES, entries, `read the rules of "${TABLE}" of iptables`);
  } catch (error) {
    if (hasCode(error, 'EAGAIN')) return undefined;
    throw error;
  }
  return { info: view, entries: new DataView(entries.buffer, ENTRIES_AT) };
}

/** Whether the policy is to drop, and no rule for our mark stands in FORWARD or in a chain that somebody has made. */
function drops({ info, entries }: Table, family: Family): boolean {
  const hookAt = (list: number, hook: number) => info.getUint32(list + 4 * hook, true);
  const [first, policy] = [hookAt(ENTRY_AT, FORWARD), hookAt(UNDERFLOW_AT, FORWARD)];
  if (verdictOf(entries, policy, family) !== DROP) return false;
  let builtInEnd = 0;
  const valid = info.getUint32(VALID_AT, true);
  for (let hook = 0; hook < HOOKS; hook++)
    if ((valid & (1 << hook)) !== 0) builtInEnd = Math.max(builtInEnd, hookAt(UNDERFLOW_AT, hook));
  for (let at = first; at < entries.byteLength; ) {
    const isAsked = at < policy || at > builtInEnd;
    if (isAsked && verdictOf(entries, at, family) === ACCEPT && isForMark(entries, at, family)) return false;
    const next = entries.getUint16(at + FAMILIES[family].offsets + 2, true);
    if (next === 0) break;
    at += next;
  }
  return true;
}

/** Undefined where the target is another than the standard one, which has no name. */
function verdictOf(entries: DataView, at: number, family: Family): number | undefined {
  const target = at + entries.getUint16(at + FAMILIES[family].offsets, true);
  return entries.getUint8(target + NAME_AT) === 0 ? entries.getInt32(target + DATA_AT, true) : undefined;
}

/** Whether an entry has `-m mark --mark 0x1000/0x1000` as its only match. struct xt_mark_mtinfo1: mark, mask, invert */
function isForMark(entries: DataView, at: number, family: Family): boolean {
  const { match, offsets } = FAMILIES[family];
  const [start, end] = [at + match, at + entries.getUint16(at + offsets, true)];
  const name = cString('mark');
  const isMark = start < end && name.every((byte, i) => entries.getUint8(start + NAME_AT + i) === byte);
  return (
    isMark &&
    start + entries.getUint16(start, true) === end &&
    entries.getUint32(start + DATA_AT, true) === FORWARD_MARK &&
    entries.getUint32(start + DATA_AT + 4, true) === FORWARD_MARK &&
    entries.getUint8(start + DATA_AT + 8) === 0
  );
}
