import { lock, makeDirectories, O, open } from '../ffi/file.ts';
import type { Paths } from '../paths.ts';

/**
 * Runs a function while no other process makes or removes the devices of an overlay: the last container's DEL must not
 * take away what the next one's ADD has just found. The lock ends with the process.
 */
export function withOverlayLock<T>({ run }: Paths, action: () => T): T {
  makeDirectories(`${run}/overlay`);
  const path = `${run}/overlay/lock`;
  using file = open(path, O.RDWR | O.CREAT, 0o600);
  lock(file.number, path);
  return action();
}
