/**
 * Which attachments have put their interface into a VRF, and in which namespace: the kernel says only that it is in
 * one. A file an attachment, below the directory that a boot empties as it ends the namespaces.
 */
import { ownerOf, validOwners } from '../../attach/owner.ts';
import type { CniCall } from '../../cni/call.ts';
import { tryList } from '../../ffi/directory.ts';
import { makeDirectories, replaceText, tryReadText, unlink } from '../../ffi/file.ts';
import { fnv1a } from '../../fnv.ts';

/** @param id of the namespace */
export function remember(call: CniCall, id: string): void {
  makeDirectories(directoryOf(call));
  replaceText(fileOf(call, ownerOf(call)), id, 0o600);
}

/** The namespace in which the attachment has done so; undefined where it has not. */
export function remembered(call: CniCall): string | undefined {
  return tryReadText(fileOf(call, ownerOf(call)));
}

export function forget(call: CniCall): void {
  unlink(fileOf(call, ownerOf(call)));
}

/**
 * For GC: forgets attachments of the network that are no longer valid. What they did is in a namespace that they had.
 */
export function forgetStale(call: CniCall): void {
  const valid = new Set(validOwners(call).map((owner) => fnv1a(owner)));
  for (const name of tryList(directoryOf(call)) ?? []) if (!valid.has(name)) unlink(`${directoryOf(call)}/${name}`);
}

function directoryOf({ paths, conf }: CniCall): string {
  return `${paths.run}/vrf/${conf.name}`;
}

function fileOf(call: CniCall, owner: string): string {
  return `${directoryOf(call)}/${fnv1a(owner)}`;
}
