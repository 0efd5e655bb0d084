/**
 * The record of an attachment: which namespace a container's interface is in. It answers two questions that the kernel
 * cannot: which namespace belongs to a container's id (mode `container`), and what else a container is attached to
 * (exclusive.ts). Each container has a directory, and each attachment a small file in it, so an ADD writes one file and
 * lists nothing. Records are in /run, and gone after a boot. What one says of a namespace counts only while device and
 * inode are the same.
 */

import type { CniCall } from '../cni/call.ts';
import { hasCode, messageOf } from '../error.ts';
import { removeDirectory, tryList } from '../ffi/directory.ts';
import { ERRNO } from '../ffi/errno.ts';
import { makeDirectories, O, rename, tryReadText, tryStat, unlink, writeText } from '../ffi/file.ts';
import { check, cString, errno, libc } from '../ffi/libc.ts';
import { fileName } from '../file-name.ts';
import { netnsIdAt } from '../netns/namespace.ts';
import type { Paths } from '../paths.ts';

/** What tells one record from another. */
export interface RecordKey {
  readonly container: string;
  /** The plugin type. */
  readonly mode: string;
  readonly network: string;
  readonly ifname: string;
}

export interface AttachmentRecord extends RecordKey {
  /** The path of the namespace, as the runtime gave it. */
  readonly netns: string;
  /** Which namespace that was: Netns.id. */
  readonly id: string;
  /** Set where this attachment set `lo` up (lo.ts). */
  readonly raisedLo?: true;
  /** Set where this attachment moved a device of the host (host-device). */
  readonly device?: MovedDevice;
}

/** What a device of the host was before it was moved. The container may change its name and alias in the kernel. */
export interface MovedDevice {
  readonly name: string;
  /** Empty where it had none. */
  readonly alias: string;
  /** Missing for hardware. */
  readonly kind?: string;
  /** Its index in the container's namespace, where it stays the same; missing until the device is there. */
  readonly index?: number;
}

/** What reading records needs of a call. */
export type Reader = Pick<CniCall, 'paths' | 'warn'>;

/** NAME_MAX less the longest prefix that is put before a name. */
const NAME_LIMIT = 240;
const DAMAGED = 'damaged:';
/**
 * The beginning of the name of a file that is being written, `.PID.NAME`: a killed process leaves such files. Names of
 * records begin with the mode, or with `#`.
 */
const UNFINISHED = '.';
/**
 * How often to try a write whose directory vanishes, because another call of the same container removed it as empty.
 */
const ATTEMPTS = 4;

/** The key of a call's own attachment. */
export function keyOf(call: Pick<CniCall, 'containerId' | 'ifname' | 'conf'>, mode: string): RecordKey {
  return { container: call.containerId, mode, network: call.conf.name, ifname: call.ifname };
}

/** Whether the namespace of a record is still at its path. */
export function isCurrent({ netns, id }: AttachmentRecord): boolean {
  return netnsIdAt(netns) === id;
}

/** Makes the directory of a container. @returns false where it existed, so that it may have other records */
export function makeRecordDirectory(paths: Paths, container: string): boolean {
  const directory = directoryOf(paths, container);
  for (let attempt = 0; ; attempt++) {
    if (libc.mkdir(cString(directory), 0o700) >= 0) return true;
    if (errno() === ERRNO.EEXIST) return false;
    if (errno() !== ERRNO.ENOENT || attempt > 0) check(-1, `make the directory "${directory}"`);
    makeDirectories(parentOf(paths));
  }
}

/**
 * Writes a record beside its place and renames it. Not synced: /run is in memory, and a record means nothing after a
 * power loss.
 */
export function putRecord(paths: Paths, record: AttachmentRecord): void {
  const directory = directoryOf(paths, record.container);
  const place = `${directory}/${nameOf(record)}`;
  const beside = `${directory}/${UNFINISHED}${libc.getpid()}.${nameOf(record)}`;
  for (let attempt = 1; ; attempt++) {
    try {
      writeText(beside, JSON.stringify(record), O.WRONLY | O.CREAT | O.TRUNC);
      rename(beside, place);
      return;
    } catch (error) {
      if (hasCode(error, 'ENOENT') && attempt < ATTEMPTS) makeRecordDirectory(paths, record.container);
      else {
        libc.unlink(cString(beside));
        throw error;
      }
    }
  }
}

/** The record with this key, or undefined. */
export function findRecord(reader: Reader, key: RecordKey): AttachmentRecord | undefined {
  return read(reader, fileOf(reader.paths, key));
}

/** All records of a container, in no order. */
export function recordsOf(reader: Reader, container: string): AttachmentRecord[] {
  return readAll(reader, directoryOf(reader.paths, container)).filter((record) => record.container === container);
}

/** The records of a network whose namespaces are still there. */
export function liveRecords(reader: Reader, network: string): AttachmentRecord[] {
  return allRecords(reader).filter((record) => record.network === network && isCurrent(record));
}

/** All records. */
function allRecords(reader: Reader): AttachmentRecord[] {
  const parent = parentOf(reader.paths);
  return (tryList(parent) ?? []).flatMap((name) => readAll(reader, `${parent}/${name}`));
}

/**
 * How many attachments each network has. By the names of the records: a record is read only where its name is a hash.
 */
export function endpointsByNetwork(paths: Paths): Map<string, number> {
  const counts = new Map<string, number>();
  const parent = parentOf(paths);
  for (const container of tryList(parent) ?? []) {
    for (const name of tryList(`${parent}/${container}`) ?? []) {
      const network = networkOf(`${parent}/${container}`, name);
      if (network !== undefined) counts.set(network, (counts.get(network) ?? 0) + 1);
    }
  }
  return counts;
}

/** NB: a damaged file is left for the call that needs the record. */
function networkOf(directory: string, name: string): string | undefined {
  if (name.startsWith(UNFINISHED) || name.startsWith(DAMAGED)) return undefined;
  if (!name.startsWith('#')) return name.slice(name.indexOf(':') + 1, name.lastIndexOf(':'));
  const text = tryReadText(`${directory}/${name}`);
  return text === undefined ? undefined : parse(text)?.network;
}

/** The records of one mode in the call's network whose attachments the runtime no longer knows. For GC. */
export function staleRecords(call: Reader & Pick<CniCall, 'conf'>, mode: string): AttachmentRecord[] {
  const { name, validAttachments = [] } = call.conf;
  const valid = new Set(validAttachments.map(({ containerID, ifname }) => `${containerID}/${ifname}`));
  return allRecords(call).filter(
    ({ mode: its, network, container, ifname }) =>
      its === mode && network === name && !valid.has(`${container}/${ifname}`),
  );
}

/** Removes a record, and the container's directory with the last one. It is no error if there is none. */
export function removeRecord(paths: Paths, key: RecordKey): void {
  unlink(fileOf(paths, key));
  const directory = directoryOf(paths, key.container);
  if (removeIfEmpty(directory)) return;
  const rest = tryList(directory) ?? [];
  if (rest.some((name) => !name.startsWith(UNFINISHED))) return;
  for (const name of rest) unlink(`${directory}/${name}`);
  removeIfEmpty(directory);
}

/**
 * Removes the half-written files of killed processes, and empty directories. For GC. An ADD that is writing at this
 * moment may find its directory gone, and makes it again.
 */
export function removeUnfinished(paths: Paths): void {
  const parent = parentOf(paths);
  for (const name of tryList(parent) ?? []) {
    const directory = `${parent}/${name}`;
    const left = (tryList(directory) ?? []).filter((each) => each.startsWith(UNFINISHED));
    for (const each of left) {
      const isBeingWritten = tryStat(`/proc/${each.split('.')[1]}`) !== undefined;
      if (!isBeingWritten) unlink(`${directory}/${each}`);
    }
    removeIfEmpty(directory);
  }
}

function parentOf({ run }: Paths): string {
  return `${run}/attachments`;
}

function directoryOf(paths: Paths, container: string): string {
  return `${parentOf(paths)}/${fileName(container)}`;
}

function fileOf(paths: Paths, key: RecordKey): string {
  return `${directoryOf(paths, key.container)}/${nameOf(key)}`;
}

function nameOf({ mode, network, ifname }: RecordKey): string {
  return fileName(`${mode}:${network}:${ifname}`, NAME_LIMIT);
}

/** @returns whether it is gone */
function removeIfEmpty(directory: string): boolean {
  try {
    removeDirectory(directory);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOTEMPTY')) return false;
    throw error;
  }
}

function readAll(reader: Reader, directory: string): AttachmentRecord[] {
  const names = (tryList(directory) ?? []).filter((name) => !name.startsWith(UNFINISHED) && !name.startsWith(DAMAGED));
  return names.map((name) => read(reader, `${directory}/${name}`)).filter((record) => record !== undefined);
}

/** A damaged file is set aside with a warning, and counts as missing. */
function read({ warn }: Reader, file: string): AttachmentRecord | undefined {
  const text = tryReadText(file);
  if (text === undefined) return undefined;
  const record = parse(text);
  if (record !== undefined) return record;
  const slash = file.lastIndexOf('/') + 1;
  const aside = `${file.slice(0, slash)}${DAMAGED}${file.slice(slash)}`;
  try {
    rename(file, aside);
    warn(`The record of an attachment "${file}" cannot be read; it was set aside as "${aside}"`);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) warn(`The record of an attachment "${file}" cannot be read: ${messageOf(error)}`);
  }
  return undefined;
}

function parse(text: string): AttachmentRecord | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const { container, mode, network, ifname, netns, id, raisedLo, device } = json as Record<string, unknown>;
  const texts = [container, mode, network, ifname, netns, id];
  if (texts.some((value) => typeof value !== 'string' || value === '')) return undefined;
  const record = { container, mode, network, ifname, netns, id } as AttachmentRecord;
  return { ...record, ...(raisedLo === true && { raisedLo }), ...(isDevice(device) && { device }) };
}

function isDevice(value: unknown): value is MovedDevice {
  if (typeof value !== 'object' || value === null) return false;
  const { name, alias, kind = '', index = 0 } = value as Record<string, unknown>;
  return [name, alias, kind].every((text) => typeof text === 'string') && typeof index === 'number';
}
