/**
 * Forwarding past the FORWARD chain of legacy iptables if its policy is drop. A drop there is as final as in the
 * FORWARD chain of iptables-nft (iptables-forward.ts), and the remedy is the same: one rule for all containers, which
 * accepts packets with netloom's mark (firewall.ts).
 *
 *   -A FORWARD -m mark --mark 0x1000/0x1000 -m comment --comment "allowed by netloom" -j ACCEPT
 *
 * The rule comes last: what other rules drop or reject stays dropped or rejected, and only the policy is overridden.
 */
import { hasCode } from '../error.ts';
import { FAMILIES, type Family } from '../net/ip.ts';
import { FORWARD_MARK } from './iptables-forward.ts';
import {
  ACCEPT,
  DROP,
  entryOf,
  isUnconditional,
  type Match,
  matchesOf,
  nextOf,
  textAt,
  verdictOf,
} from './xtables/entry.ts';
import { FORWARD, insertEntry, lockTables, readTable, removeEntry, type XTable } from './xtables/table.ts';

const PROGRAMS = { 4: 'iptables-legacy', 6: 'ip6tables-legacy' } as const;

const COMMENT = 'allowed by netloom';
/** XT_MAX_COMMENT_LEN */
const COMMENT_SIZE = 256;
/** struct xt_mark_mtinfo1: u32 mark, u32 mask, u8 invert; then padding. */
const MARK_SIZE = 9;
const MARK_PADDING = 3;

const rule = `FORWARD -m mark --mark 0x${FORWARD_MARK.toString(16)}/0x${FORWARD_MARK.toString(16)} -j ACCEPT`;

/**
 * Equivalent to: `iptables-legacy -S FORWARD`, read.
 * @returns the command that lets allowed packets pass; undefined if nothing blocks them
 */
export function legacyWayOut(family: Family): string | undefined {
  const table = readTable(family);
  return table !== undefined && isShut(table) ? legacyCommand(family) : undefined;
}

/** The command puts the rule before all others: a person may decide that. */
export function legacyCommand(family: Family): string {
  return `${PROGRAMS[family]} -I ${rule}`;
}

/**
 * Lets packets pass that netloom allows. Does nothing if nothing blocks them.
 * Equivalent to:
 * `iptables-legacy -A FORWARD -m mark --mark 0x1000/0x1000 -m comment --comment "allowed by netloom" -j ACCEPT`
 * NB: the table is read with the lock held, and after the endpoint's element was added: closeLegacyWays() looks for
 * elements while it holds the lock.
 */
export function openLegacyWay(family: Family): void {
  if (!dropsByPolicy(readTable(family))) return;
  using _lock = lockTables();
  const table = readTable(family);
  if (table !== undefined && isShut(table))
    insertEntry(table, policyOf(table), entryOf(family, [markMatch(), commentMatch()], ACCEPT));
}

/** Removes the rule of openLegacyWay(), unless an endpoint still needs it. A rule that a person has made stays. */
export function closeLegacyWays(isUsed: () => boolean): void {
  for (const family of FAMILIES) {
    const before = tryReadTable(family);
    if (before === undefined || ownRule(before) === undefined) continue;
    using _lock = lockTables();
    const table = readTable(family);
    const own = table && ownRule(table);
    if (table !== undefined && own !== undefined && !isUsed()) removeEntry(table, own);
  }
}

/** Like readTable(), but undefined for a caller who may not read the table: such a caller has no rule in it. */
function tryReadTable(family: Family): XTable | undefined {
  try {
    return readTable(family);
  } catch (error) {
    if (hasCode(error, 'EPERM')) return undefined;
    throw error;
  }
}

function dropsByPolicy(table: XTable | undefined): boolean {
  return table !== undefined && verdictOf(table.entries, policyOf(table), table.family) === DROP;
}

/** Whether the policy is drop, and neither FORWARD nor a user-defined chain has a rule that accepts our mark. */
function isShut(table: XTable): boolean {
  if (!dropsByPolicy(table)) return false;
  const { entries, validHooks, policies } = table;
  const policy = policyOf(table);
  const builtInEnd = Math.max(...policies.filter((_, hook) => (validHooks & (1 << hook)) !== 0));
  for (const at of offsetsFrom(table, table.begins[FORWARD] ?? 0, entries.byteLength)) {
    const isAsked = at < policy || at > builtInEnd;
    if (isAsked && acceptsMark(table, at)) return false;
  }
  return true;
}

/** The offset of our own rule. */
function ownRule(table: XTable): number | undefined {
  const { family, entries, begins } = table;
  return offsetsFrom(table, begins[FORWARD] ?? 0, policyOf(table)).find(
    (at) => acceptsMark(table, at) && matchesOf(entries, at, family).some(isOurComment),
  );
}

function policyOf({ policies }: XTable): number {
  return policies[FORWARD] ?? 0;
}

function offsetsFrom({ entries, family }: XTable, begin: number, end: number): number[] {
  const offsets: number[] = [];
  for (let at = begin; at < end; ) {
    offsets.push(at);
    const next = nextOf(entries, at, family);
    if (next <= at) break;
    at = next;
  }
  return offsets;
}

/** Whether an entry accepts all packets with our mark. A comment does not narrow a rule. */
function acceptsMark({ entries, family }: XTable, at: number): boolean {
  if (verdictOf(entries, at, family) !== ACCEPT || !isUnconditional(entries, at, family)) return false;
  const narrowing = matchesOf(entries, at, family).filter(({ name }) => name !== 'comment');
  const [only] = narrowing;
  const wanted = markMatch().data.subarray(0, MARK_SIZE);
  return narrowing.length === 1 && only?.name === 'mark' && wanted.every((byte, i) => byte === only.data[i]);
}

function isOurComment({ name, data }: Match): boolean {
  return name === 'comment' && textAt(data, 0) === COMMENT;
}

function markMatch(): Match {
  const data = new Uint8Array(MARK_SIZE + MARK_PADDING);
  const view = new DataView(data.buffer);
  view.setUint32(0, FORWARD_MARK, true);
  view.setUint32(4, FORWARD_MARK, true);
  return { name: 'mark', revision: 1, data };
}

function commentMatch(): Match {
  const data = new Uint8Array(COMMENT_SIZE);
  data.set(new TextEncoder().encode(COMMENT));
  return { name: 'comment', revision: 0, data };
}
