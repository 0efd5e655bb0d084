/**
 * The store `file`: a directory that all nodes see, over a shared mount or kept in step by configuration management.
 * Each node has one file, named after its prefix:
 *
 *   10.96.3.0_24.json    { "name": "node3", "address": "192.0.2.13", "subnet": "10.96.3.0/24", "machine": "5f2e…" }
 *
 * A prefix is taken with link(2), which gives a name to one file only, on every file system. A lock in the directory
 * keeps names unique. Nothing expires: a record holds until somebody reclaims it. A file's mtime says when its node was
 * last seen; only reclaim() acts upon it.
 */
import { messageOf } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { lock, O, open, replaceText, type Stat, tryLink, tryReadText, tryStat, unlink } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import { tryTouch } from '../ffi/mtime.ts';
import type { Cidr } from '../net/cidr.ts';
import type { OverlayNode } from './network.ts';
import { allTaken, candidates } from './prefixes.ts';
import { type Applicant, type NodeRecord, nameTaken, noSuchNode, recordOf, stillSeen } from './record.ts';

const SUFFIX = '.json';

/**
 * All nodes, in the order of their prefixes; undefined where the directory is missing. Warns of files that cannot be
 * read, and leaves them out.
 * @throws NetloomError EIO, ESTALE, ENOTCONN where a mount does not answer
 */
export function readRecords(directory: string, warn: (message: string) => void): NodeRecord[] | undefined {
  const before = tryStat(directory);
  const names = tryList(directory);
  if (before === undefined || names === undefined) return undefined;
  let isOneGone = false;
  const records = names.filter(isRecordName).flatMap((name) => {
    const file = `${directory}/${name}`;
    const text = tryReadText(file);
    isOneGone ||= text === undefined;
    return text === undefined ? [] : (readRecord(file, text, warn) ?? []);
  });
  // NB: a file that is gone since the listing was given back, or the whole directory is gone. In that case the nodes
  // not read must not look as if they had left.
  if (isOneGone && !isSame(before, tryStat(directory))) return undefined;
  return inOrder(records);
}

/** Sorts records by their prefixes, in place. */
export function inOrder(records: NodeRecord[]): NodeRecord[] {
  return records.sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
}

/**
 * A stamp of the directory, which changes whenever a node joins, leaves or changes: a file comes, goes or is replaced.
 * Empty where the directory is missing.
 */
export function stampOf(directory: string): string {
  try {
    const stat = tryStat(directory);
    return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${stat.mtime}`;
  } catch {
    return ''; // a mount that does not answer
  }
}

/**
 * Gives a node its record: the one it has, with its present address, or a new one with a free prefix. The search begins
 * at a place that follows from the name, so that nodes that join at the same time seldom collide.
 */
export function join(directory: string, subnet: Cidr, nodePrefix: number, applicant: Applicant): NodeRecord {
  return withLock(directory, () => {
    const records = readRecords(directory, () => {}) ?? [];
    const existing = records.find(({ name }) => name === applicant.name);
    if (existing !== undefined) return returned(directory, existing, applicant);
    // NB: prefixes of this length are looked up in a set. Where nodes are numbered without gaps, the search has to pass
    // thousands in a row.
    const taken = new Set(records.map((record) => `${record.subnet}`));
    const others = records.filter((record) => record.subnet.prefix !== nodePrefix);
    for (const candidate of candidates(subnet, nodePrefix, applicant)) {
      if (taken.has(`${candidate}`) || others.some((record) => record.subnet.overlaps(candidate))) continue;
      const { name, address, machine } = applicant;
      const record = { name, address, subnet: candidate, machine };
      if (take(directory, record)) return record;
    }
    throw allTaken(subnet, nodePrefix);
  });
}

/**
 * Marks a node as seen now. Changes nothing that others act upon. NB: by the clock of the file system, not a machine's
 * own, which may be hours off or be set.
 * @returns false where the record cannot be reached
 */
export function touch(directory: string, { subnet }: OverlayNode): boolean {
  return tryTouch(fileOf(directory, subnet));
}

/**
 * The time by the clock of the file system, in ms since 1970; undefined where no node has joined yet, or the directory
 * is read-only.
 */
export function timeOf(directory: string): number | undefined {
  const file = lockOf(directory);
  return tryTouch(file) ? mtimeOf(file) : undefined;
}

/**
 * How long ago a node was last seen, in ms.
 * @param now by the clock of the file system, which may have been set back since
 */
export function silenceOf(directory: string, { subnet }: OverlayNode, now: number): number | undefined {
  const seen = mtimeOf(fileOf(directory, subnet));
  return seen === undefined ? undefined : Math.max(0, now - seen);
}

/**
 * Removes the record of a node that is gone, which frees its prefix.
 * @param grace how long the node must not have been seen, in ms
 * @throws NetloomError no-such-node, still-seen
 */
export function reclaim(directory: string, name: string, grace: number): NodeRecord {
  return withLock(directory, () => {
    const record = (readRecords(directory, () => {}) ?? []).find((each) => each.name === name);
    if (record === undefined) throw noSuchNode(name, `"${directory}" has no such node`);
    const silence = silenceOf(directory, record, timeOf(directory) ?? 0) ?? 0;
    if (silence < grace) throw stillSeen(record, silence / 1000, grace / 1000);
    unlink(fileOf(directory, record.subnet));
    return record;
  });
}

/** The record of a node that is back, perhaps with another address, or with an empty disk at the same address. */
function returned(directory: string, existing: NodeRecord, { address, machine }: Applicant): NodeRecord {
  // A record without a machine is kept by somebody else.
  const isSame = existing.machine === machine || existing.machine === '';
  if (!isSame && !existing.address.equals(address)) {
    throw nameTaken(existing);
  }
  const record = { ...existing, address, machine };
  if (existing.machine === machine && existing.address.equals(address)) return existing;
  replaceText(fileOf(directory, record.subnet), textOf(record), 0o644);
  return record;
}

function take(directory: string, record: NodeRecord): boolean {
  const beside = `${directory}/.${record.machine}.${libc.gettid()}.tmp`;
  try {
    // NB: the text must be on disk before the file gets its name. Otherwise a machine that loses power leaves an empty
    // file: a prefix that is taken and belongs to nobody.
    replaceText(beside, textOf(record), 0o644);
    return tryLink(beside, fileOf(directory, record.subnet));
  } finally {
    unlink(beside);
  }
}

function withLock<T>(directory: string, action: () => T): T {
  using file = open(lockOf(directory), O.RDWR | O.CREAT, 0o644);
  lock(file.number, lockOf(directory));
  return action();
}

function lockOf(directory: string): string {
  return `${directory}/lock`;
}

function mtimeOf(file: string): number | undefined {
  const stat = tryStat(file);
  return stat === undefined ? undefined : Number(stat.mtime / 1_000_000n);
}

function fileOf(directory: string, subnet: Cidr): string {
  return `${directory}/${subnet.toString().replaceAll(':', '-').replace('/', '_')}${SUFFIX}`;
}

/** Whether a name is that of a node's record. */
export function isRecordName(name: string): boolean {
  return name.endsWith(SUFFIX) && !name.startsWith('.');
}

function textOf({ name, address, subnet, machine }: NodeRecord): string {
  return `${JSON.stringify({ name, address, subnet, machine })}\n`;
}

function isSame(one: Stat, other: Stat | undefined): boolean {
  return one.dev === other?.dev && one.ino === other.ino;
}

/** The record in a file; undefined, with a warning, where there is none. */
export function readRecord(file: string, text: string, warn: (message: string) => void): NodeRecord | undefined {
  try {
    const record = recordOf(JSON.parse(text));
    if (record !== undefined) return record;
    warn(`The node in "${file}" is passed over: expected "name", "address" and "subnet"`);
  } catch (error) {
    warn(`The node in "${file}" is passed over: ${messageOf(error)}`);
  }
  return undefined;
}
