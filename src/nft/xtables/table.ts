/**
 * The table "filter" of legacy iptables (xtables), which the kernel has besides those of nf_tables. It is read and
 * replaced as a whole; a program that replaces it must hold the lock of the iptables programs.
 * linux/netfilter_ipv4/ip_tables.h: ipt_getinfo, ipt_get_entries, ipt_replace; those of ip6_tables.h are the same.
 */
import { adapter } from '#ffi';
import { hasCode, NetloomError } from '../../error.ts';
import { Fd, O, open, tryLock, tryReadText } from '../../ffi/file.ts';
import { check, cString, libc } from '../../ffi/libc.ts';
import { getSocketOption } from '../../ffi/socket-option.ts';
import type { Family } from '../../net/ip.ts';
import { COUNTERS_SIZE, nextOf, setVerdict, verdictOf } from './entry.ts';

const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_RAW = 255;
/** IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, IPT_SO_SET_REPLACE and IPT_SO_SET_ADD_COUNTERS; IP6T_… are the same. */
const GET = { info: 64, entries: 65 } as const;
const SET = { replace: 64, addCounters: 65 } as const;

const NAME = 'filter';
/** NF_INET_FORWARD. */
export const FORWARD = 2;
const HOOKS = 5;
/** How often a table is read that somebody else keeps changing. */
const TRIES = 10;

/**
 * struct ipt_getinfo: name[32], valid_hooks, hook_entry[5], underflow[5], num_entries, size. hook_entry has the offset
 * of each hook's first entry, underflow that of its policy.
 */
const INFO = { hooks: 32, begin: 36, policy: 56, count: 76, size: 80, end: 84 } as const;
/** struct ipt_get_entries: name[32], size, padding. */
const ENTRIES = { size: 32, end: 40 } as const;
/**
 * struct ipt_replace: name[32], valid_hooks, num_entries, size, hook_entry[5], underflow[5], num_counters, pointer to
 * counters.
 */
const REPLACE = { hooks: 32, count: 36, size: 40, begin: 44, policy: 64, oldCount: 84, counters: 88, end: 96 } as const;
/** struct xt_counters_info: name[32], num_counters, padding. */
const ADD_COUNTERS = { count: 32, end: 40 } as const;

const FAMILIES = {
  4: { af: 2, level: 0, names: 'ip_tables_names' },
  6: { af: 10, level: 41, names: 'ip6_tables_names' },
} as const;

/** XT_LOCK_NAME of iptables' programs. */
const LOCK = '/run/xtables.lock';
/**
 * How long to wait for the lock, in ms. Their programs wait without a limit, but an agent's thread that hangs is lost.
 */
const PATIENCE = 10_000;

export interface XTable {
  readonly family: Family;
  readonly validHooks: number;
  /** By hook: offsets of the first entry, and of the policy, which is the last one. */
  readonly begins: readonly number[];
  readonly policies: readonly number[];
  readonly count: number;
  readonly entries: DataView;
}

/** Undefined if there is none, or if it changed at every try. Equivalent to: `iptables-legacy-save -t filter` */
export function readTable(family: Family): XTable | undefined {
  // NB: the kernel makes a table when it is asked for it, so we ask only for one that exists.
  if (tryReadText(`/proc/thread-self/net/${FAMILIES[family].names}`)?.split('\n').includes(NAME) !== true)
    return undefined;
  for (let i = 0; i < TRIES; i++) {
    try {
      return readNow(family);
    } catch (error) {
      // The table's size has changed between the two requests.
      if (!hasCode(error, 'EAGAIN')) throw error;
    }
  }
  return undefined;
}

function readNow(family: Family): XTable {
  const { level } = FAMILIES[family];
  using socket = openSocket(family);
  const info = new Uint8Array(INFO.end);
  info.set(cString(NAME));
  getSocketOption(socket.number, level, GET.info, info, `read the table "${NAME}" of iptables`);
  const view = new DataView(info.buffer);
  const entries = new Uint8Array(ENTRIES.end + view.getUint32(INFO.size, true));
  entries.set(cString(NAME));
  new DataView(entries.buffer).setUint32(ENTRIES.size, view.getUint32(INFO.size, true), true);
  getSocketOption(socket.number, level, GET.entries, entries, `read the rules of "${NAME}" of iptables`);
  return {
    family,
    validHooks: view.getUint32(INFO.hooks, true),
    begins: numbersAt(view, INFO.begin),
    policies: numbersAt(view, INFO.policy),
    count: view.getUint32(INFO.count, true),
    entries: new DataView(entries.buffer, ENTRIES.end),
  };
}

/**
 * Keeps out the programs of iptables and other netloom processes. A process that dies releases the lock.
 * @throws NetloomError try-again if somebody else holds it for longer than PATIENCE
 */
export function lockTables(): Disposable {
  const file = open(LOCK, O.RDONLY | O.CREAT);
  try {
    if (tryLock(file.number, LOCK, PATIENCE)) return file;
    throw new NetloomError(
      'try-again',
      `Cannot change the rules of "${NAME}" of iptables: another program has held the lock "${LOCK}" for ${PATIENCE / 1000} s`,
      { hint: `\`fuser -v ${LOCK}\` shows which` },
    );
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Inserts an entry before the one at an offset. The lock must be held since the table was read. */
export function insertEntry(table: XTable, at: number, entry: Uint8Array): void {
  const moved = shiftBehind(table, at, entry.length);
  const old = bytesOf(table);
  const entries = concatenated(old.subarray(0, at), entry, old.subarray(at));
  replace(table, entries, {
    begins: table.begins.map(moved),
    policies: table.policies.map((offset) => (offset === at ? offset + entry.length : moved(offset))),
    jump: moved,
    count: table.count + 1,
    counters: (all) => {
      const split = indexOf(table, at) * COUNTERS_SIZE;
      return concatenated(all.subarray(0, split), new Uint8Array(COUNTERS_SIZE), all.subarray(split));
    },
  });
}

/** Removes the entry at an offset. The lock must be held since the table was read. */
export function removeEntry(table: XTable, at: number): void {
  const next = nextOf(table.entries, at, table.family);
  const moved = shiftBehind(table, at, at - next);
  const old = bytesOf(table);
  replace(table, concatenated(old.subarray(0, at), old.subarray(next)), {
    begins: table.begins.map(moved),
    policies: table.policies.map(moved),
    jump: moved,
    count: table.count - 1,
    counters: (all) => {
      const split = indexOf(table, at) * COUNTERS_SIZE;
      return concatenated(all.subarray(0, split), all.subarray(split + COUNTERS_SIZE));
    },
  });
}

/** NB: for a hook that the table does not have, the value is no offset. */
function shiftBehind({ entries }: XTable, at: number, by: number): (offset: number) => number {
  return (offset) => (offset > at && offset < entries.byteLength ? offset + by : offset);
}

interface Change {
  readonly begins: readonly number[];
  readonly policies: readonly number[];
  /** From the offset of a chain before the change to that after it. */
  readonly jump: (offset: number) => number;
  readonly count: number;
  readonly counters: (old: Uint8Array) => Uint8Array;
}

/**
 * NB: the kernel sets the counters to 0 and returns their old values, which are then added again. The programs of
 * iptables do the same.
 */
function replace(table: XTable, entries: Uint8Array, { begins, policies, jump, count, counters }: Change): void {
  const { family, validHooks } = table;
  const { level } = FAMILIES[family];
  const bytes = concatenated(new Uint8Array(REPLACE.end), entries);
  const inside = new DataView(bytes.buffer, REPLACE.end);
  for (let at = 0; at < inside.byteLength; at = nextOf(inside, at, family)) {
    const verdict = verdictOf(inside, at, family);
    if (verdict !== undefined && verdict >= 0) setVerdict(inside, at, family, jump(verdict));
  }
  const old = new Uint8Array(table.count * COUNTERS_SIZE);
  const head = new DataView(bytes.buffer, 0, REPLACE.end);
  bytes.set(cString(NAME));
  head.setUint32(REPLACE.hooks, validHooks, true);
  head.setUint32(REPLACE.count, count, true);
  head.setUint32(REPLACE.size, entries.length, true);
  for (const [list, at] of [
    [begins, REPLACE.begin],
    [policies, REPLACE.policy],
  ] as const)
    for (const [hook, offset] of list.entries()) head.setUint32(at + 4 * hook, offset, true);
  head.setUint32(REPLACE.oldCount, table.count, true);
  head.setBigUint64(REPLACE.counters, adapter.address(old), true);
  using socket = openSocket(family);
  const set = (option: number, value: Uint8Array) => libc.setsockopt(socket.number, level, option, value, value.length);
  check(set(SET.replace, bytes), `change the rules of "${NAME}" of iptables`);
  const counted = concatenated(new Uint8Array(ADD_COUNTERS.end), counters(old));
  counted.set(cString(NAME));
  new DataView(counted.buffer).setUint32(ADD_COUNTERS.count, count, true);
  check(set(SET.addCounters, counted), `count on in "${NAME}" of iptables`);
}

function openSocket(family: Family): Fd {
  return new Fd(check(libc.socket(FAMILIES[family].af, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), 'open a raw socket'));
}

/** How many entries there are before an offset. */
function indexOf({ entries, family }: XTable, offset: number): number {
  let index = 0;
  for (let at = 0; at < offset; at = nextOf(entries, at, family)) index++;
  return index;
}

function numbersAt(view: DataView, start: number): number[] {
  return Array.from({ length: HOOKS }, (_, hook) => view.getUint32(start + 4 * hook, true));
}

function bytesOf({ entries }: XTable): Uint8Array {
  return new Uint8Array(entries.buffer, entries.byteOffset, entries.byteLength);
}

function concatenated(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
