/**
 * The store `file`: a directory that all nodes see, by a shared mount, or kept alike by configuration management. One
 * file a node, named after its prefix:
 *
 *   10.96.3.0_24.json    { "name": "node3", "address": "192.0.2.13", "subnet": "10.96.3.0/24", "machine": "5f2e…" }
 *
 * A prefix is taken by link(2), which gives a name to one file only, on every file system. Names are kept unique by a
 * lock beside. Nothing expires: a record is a fact until somebody reclaims it. When a file was last changed says when
 * its node was last seen, and decides nothing.
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
 * All nodes, in the order of their prefixes; undefined where the directory is not there. What cannot be read is said,
 * and is no node.
 * @throws NetloomError of a mount that does not answer: EIO, ESTALE, ENOTCONN
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
  // NB: one that is gone since it was listed was given back, or all are with the directory. Half of the nodes must not
  // look as if the others had left.
  if (isOneGone && !isSame(before, tryStat(directory))) return undefined;
  return inOrder(records);
}

/** In the order of their prefixes. */
export function inOrder(records: NodeRecord[]): NodeRecord[] {
  return records.sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
}

/**
 * Changes whenever a node joins, leaves or changes: of the directory, or of a file that is replaced. Empty where it is
 * away.
 */
export function stampOf(directory: string): string {
  try {
    const stat = tryStat(directory);
    return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${stat.mtime}`;
  } catch {
    return ''; // of a mount that does not answer
  }
}

/**
 * Gets a node its record: the one that it has, with its present address, or a new one with a prefix that nobody has.
 * The search begins at a place that follows from the name, so that nodes that come at once seldom meet.
 * @throws NetloomError name-taken, address-exhausted
 */
export function join(directory: string, subnet: Cidr, nodePrefix: number, applicant: Applicant): NodeRecord {
  return withLock(directory, () => {
    const records = readRecords(directory, () => {}) ?? [];
    const existing = records.find(({ name }) => name === applicant.name);
    if (existing !== undefined) return returned(directory, existing, applicant);
    // NB: those of the length in question are looked up. Whoever numbers nodes without gaps leaves thousands in a row
    // to search past.
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
 * Says that a node is there. Changes nothing that others act upon. NB: by the clock of the file system, so that no
 * machine's own matters: that may be hours off, and is set.
 * @returns false where its record cannot be reached
 */
export function touch(directory: string, { subnet }: OverlayNode): boolean {
  return tryTouch(fileOf(directory, subnet));
}

/**
 * What time it is for the file system, in ms since 1970; undefined where nobody has joined yet, or it can only be read.
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
 * Gives a prefix back that a node no longer has.
 * @param grace for how long it must not have been seen, in ms
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

/** The node is back, be it with another address, or with an empty disk at the same address. */
function returned(directory: string, existing: NodeRecord, { address, machine }: Applicant): NodeRecord {
  // Somebody else keeps a record without a machine.
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
    // NB: on the disk before it has the name, or a machine that loses power leaves an empty file, and with it a prefix
    // that is nobody's and taken.
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

/** Whether a file is to be a record of a node. */
export function isRecordName(name: string): boolean {
  return name.endsWith(SUFFIX) && !name.startsWith('.');
}

function textOf({ name, address, subnet, machine }: NodeRecord): string {
  return `${JSON.stringify({ name, address, subnet, machine })}\n`;
}

function isSame(one: Stat, other: Stat | undefined): boolean {
  return one.dev === other?.dev && one.ino === other.ino;
}

/** The record in a file. @returns undefined where it is none: then that is said */
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
