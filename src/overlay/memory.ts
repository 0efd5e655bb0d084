/**
 * What a node remembers by itself: its machine id, and the nodes that it last knew, so that it forwards while the store
 * is unreachable, even after a boot.
 *
 * The nodes are in one file: a line with all of them, then a line for each change since. So a change is one short
 * write, however many nodes there are, and a reader can go on where it stopped (memory-feed.ts).
 */
import { hasCode } from '../error.ts';
import { makeDirectories, O, replaceText, tryOpen, tryReadText, writeAll } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import { randomBytes } from '../ffi/random.ts';
import type { Paths } from '../paths.ts';
import { inOrder } from './file-store.ts';
import { type Change, type NodeRecord, recordOf } from './record.ts';

/** An id of this machine's own, made when it is first asked for. */
export function machineId({ state }: Paths): string {
  const file = `${state}/machine`;
  const known = tryReadText(file)?.trim();
  if (known !== undefined && known !== '') return known;
  let id = '';
  for (const byte of randomBytes(16)) id += byte.toString(16).padStart(2, '0');
  makeDirectories(state);
  replaceText(file, `${id}\n`);
  return tryReadText(file)?.trim() ?? id;
}

/** The nodes that were known last, in the order of their prefixes; none where nothing readable is written down. */
export function remembered(paths: Paths, network: string): NodeRecord[] {
  return recordsOf(tryReadText(memoryOf(paths, network)) ?? '');
}

/** The nodes in the text of such a file, in the order of their prefixes. */
export function recordsOf(text: string): NodeRecord[] {
  const end = text.indexOf('\n');
  try {
    const json: unknown = JSON.parse(end < 0 ? text : text.slice(0, end));
    if (!Array.isArray(json)) return [];
    const records = json.flatMap((each) => recordOf(each) ?? []);
    const changes = end < 0 ? [] : changesOf(text.slice(end + 1));
    return changes.length === 0 ? records : after(records, changes);
  } catch {
    return []; // damaged or missing: as if there were none, the store has the truth
  }
}

/**
 * The changes in the complete lines of a text. NB: it stops at a line that cannot be read, which was being written when
 * the power failed.
 */
export function changesOf(text: string): Change[] {
  const changes: Change[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    const change = changeOf(line);
    if (change === undefined) break;
    changes.push(change);
  }
  return changes;
}

/**
 * Writes the nodes down, unless the file has them already.
 * @returns whether the file has them now: not on a full or read-only disk, which is no reason to stop forwarding
 */
export function remember(paths: Paths, network: string, nodes: readonly NodeRecord[]): boolean {
  const file = memoryOf(paths, network);
  const text = `${JSON.stringify(nodes)}\n`;
  if (tryReadText(file) === text) return true;
  try {
    makeDirectories(`${paths.state}/overlay`);
    replaceText(file, text);
    return true;
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT', 'EROFS')) throw error;
    return false;
  }
}

/**
 * Appends changes to the file. They are not on disk yet when it returns: see keepMemory().
 * @returns false where there is no file to append to, or the disk is full
 */
export function amend(paths: Paths, network: string, changes: readonly Change[]): boolean {
  using fd = tryOpen(memoryOf(paths, network), O.WRONLY | O.APPEND);
  if (fd === undefined) return false;
  const text = changes.map((change) => `${JSON.stringify(change)}\n`).join('');
  try {
    // NB: one write, so that nobody reads half of it as a whole.
    writeAll(fd.number, new TextEncoder().encode(text), memoryOf(paths, network));
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    return false;
  }
  return true;
}

/** Syncs what amend() has written to disk. */
export function keepMemory(paths: Paths, network: string): void {
  using fd = tryOpen(memoryOf(paths, network));
  if (fd !== undefined) libc.fsync(fd.number);
}

/** The file with what is known of a network. */
export function memoryOf({ state }: Paths, network: string): string {
  return `${state}/overlay/${network}.json`;
}

function after(records: readonly NodeRecord[], changes: readonly Change[]): NodeRecord[] {
  const byName = new Map(records.map((record) => [record.name, record]));
  for (const change of changes) {
    if ('put' in change) byName.set(change.put.name, change.put);
    else byName.delete(change.gone);
  }
  return inOrder([...byName.values()]);
}

function changeOf(line: string): Change | undefined {
  try {
    const { put, gone } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (typeof gone === 'string') return { gone };
    const record = recordOf(put);
    return record === undefined ? undefined : { put: record };
  } catch {
    return undefined;
  }
}
