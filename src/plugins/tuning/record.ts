/**
 * The old settings of an interface and its namespace, kept until DEL. There is one file for each attachment, in the
 * reference's place and format, so that each of the two plugins can undo what the other changed. What the reference has
 * no keys for is under `netloom`.
 */
import * as v from 'valibot';
import { ownerOf } from '../../attach/owner.ts';
import type { CniCall } from '../../cni/call.ts';
import { looseObject } from '../../cni/config.ts';
import { tryList } from '../../ffi/directory.ts';
import { directoryOf, makeDirectories, O, rename, tryReadText, unlink, writeText } from '../../ffi/file.ts';
import type { TuningConf } from './conf.ts';

export type Value = string | number | boolean;

export interface Change {
  readonly old: Value;
  /** What it was set to; unknown if the reference plugin made the record. */
  readonly set?: Value;
}

export type Changes = Readonly<Record<string, Change>>;

export interface TuningRecord {
  /** The owner of the attachment; unknown if the reference plugin made the record. */
  readonly owner?: string;
  /** By the key of the configuration: mac, mtu, … */
  readonly link: Changes;
  /** By the path below /proc/sys. */
  readonly sysctl: Changes;
}

const LINK_KEYS = ['mac', 'mtu', 'promisc', 'allmulti', 'txQLen'] as const;

/** The path of an attachment's record. */
export function recordPath({ conf, paths, containerId, ifname }: CniCall<TuningConf>): string {
  return `${conf.dataDir ?? paths.tuning}/${containerId}_${ifname}.json`;
}

/**
 * The record, or undefined if there is none. A damaged one is set aside with a warning: it must not prevent a container
 * from being attached or detached.
 */
export function readRecord(path: string, warn: (message: string) => void): TuningRecord | undefined {
  const text = tryReadText(path);
  if (text === undefined) return undefined;
  const record = parseRecord(text);
  if (record !== undefined) return record;
  rename(path, `${path}.damaged`);
  warn(`"${path}" is damaged, so what it was to restore stays as it is; the file is now "${path}.damaged"`);
  return undefined;
}

export function writeRecord(path: string, call: CniCall<TuningConf>, { link, sysctl }: TuningRecord): void {
  const directory = directoryOf(path);
  if (directory !== undefined) makeDirectories(directory, 0o700);
  const olds = Object.fromEntries(Object.entries(link).map(([key, { old }]) => [key, old]));
  const sets = Object.fromEntries(Object.entries(link).map(([key, { set }]) => [key, set]));
  // NB: the temporary name has no process id, so that DEL can remove what a killed process leaves. Not synced: the
  // namespace does not survive a power failure either.
  const beside = besideOf(path);
  writeText(
    beside,
    JSON.stringify({ ...olds, netloom: { owner: ownerOf(call), set: sets, sysctl } }),
    O.WRONLY | O.CREAT | O.TRUNC,
  );
  rename(beside, path);
}

/** Removes the record and its temporary file. */
export function removeRecord(path: string): void {
  unlink(besideOf(path));
  unlink(path);
}

function besideOf(path: string): string {
  return `${path}.tmp`;
}

/**
 * Removes the records of a network's attachments that are no longer valid. Their namespaces are not known: they are
 * gone, or stay as they are.
 */
export function removeStaleRecords(call: CniCall<TuningConf>, valid: readonly string[]): void {
  const directory = call.conf.dataDir ?? call.paths.tuning;
  for (const name of tryList(directory) ?? []) {
    if (!name.endsWith('.json') && !name.endsWith(besideOf('.json'))) continue;
    const path = `${directory}/${name}`;
    const owner = parseRecord(tryReadText(path) ?? '')?.owner;
    if (owner?.startsWith(`${call.conf.name}/`) && !valid.includes(owner)) unlink(path);
  }
}

function parseRecord(text: string): TuningRecord | undefined {
  const value = v.union([v.string(), v.number(), v.boolean()]);
  const values = v.optional(v.record(v.string(), value), {});
  const schema = looseObject({
    mac: v.exactOptional(v.string()),
    mtu: v.exactOptional(v.number()),
    promisc: v.exactOptional(v.boolean()),
    allmulti: v.exactOptional(v.boolean()),
    txQLen: v.exactOptional(v.number()),
    netloom: v.exactOptional(
      looseObject({
        owner: v.exactOptional(v.string()),
        set: values,
        sysctl: v.optional(v.record(v.string(), v.object({ old: v.string(), set: v.string() })), {}),
      }),
    ),
  });
  const { success, output } = v.safeParse(schema, jsonOf(text));
  if (!success) return undefined;
  const link: Record<string, Change> = {};
  for (const key of LINK_KEYS) {
    const [old, set] = [output[key], output.netloom?.set[key]];
    if (old !== undefined) link[key] = set === undefined ? { old } : { old, set };
  }
  const owner = output.netloom?.owner;
  return { ...(owner !== undefined && { owner }), link, sysctl: output.netloom?.sysctl ?? {} };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
