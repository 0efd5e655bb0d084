/**
 * Which attachments have put their interface into a VRF, and in which namespace: the kernel knows only that it is in
 * one. There is one file for each attachment, below the directory that is emptied at boot, when the namespaces are gone
 * as well.
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

/** The id of the namespace in which the attachment has put its interface into a VRF; undefined if it has not. */
export function remembered(call: CniCall): string | undefined {
  return tryReadText(fileOf(call, ownerOf(call)));
}

export function forget(call: CniCall): void {
  unlink(fileOf(call, ownerOf(call)));
}

/**
 * For GC: forgets attachments of the network that are no longer valid. Their VRFs were in their own namespaces.
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
