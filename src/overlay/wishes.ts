/**
 * What ADDs want from the agent: blocks of addresses that this node does not have yet. A wish is an empty file, which
 * the agent removes when it has done what it can. So any process can make one, and it survives a restart of the agent.
 */
import { tryList } from '../ffi/directory.ts';
import { makeDirectories, O, tryStat, unlink, writeText } from '../ffi/file.ts';
import { Cidr } from '../net/cidr.ts';
import type { Paths } from '../paths.ts';

/** A certain block, or any free one. */
export type Wish = Cidr | 'any';

/** Makes a wish, unless it is open already. */
export function wish(paths: Paths, network: string, wanted: Wish): void {
  makeDirectories(directoryOf(paths, network));
  writeText(fileOf(paths, network, wanted), '', O.WRONLY | O.CREAT);
}

/** Whether the agent has not dealt with a wish yet. */
export function isOpen(paths: Paths, network: string, wanted: Wish): boolean {
  return tryStat(fileOf(paths, network, wanted)) !== undefined;
}

/** The open wishes of a network. */
export function wishes(paths: Paths, network: string): Wish[] {
  return (tryList(directoryOf(paths, network)) ?? []).flatMap((name) =>
    name === 'any' ? 'any' : (Cidr.tryParse(name.replace('_', '/')) ?? []),
  );
}

/** Removes a wish that is fulfilled or given up. */
export function settle(paths: Paths, network: string, wanted: Wish): void {
  unlink(fileOf(paths, network, wanted));
}

function directoryOf({ run }: Paths, network: string): string {
  return `${run}/overlay/${network}.wishes`;
}

function fileOf(paths: Paths, network: string, wanted: Wish): string {
  return `${directoryOf(paths, network)}/${wanted.toString().replace('/', '_')}`;
}
