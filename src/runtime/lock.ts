/** Only one command at a time may change anything: what it has read must still hold when it acts. */
import { begin } from '../activity.ts';
import { lock, makeDirectories, O, open } from '../ffi/file.ts';
import type { RuntimeContext } from './context.ts';

/** Runs a function while no other netloom does. The lock is released when the process ends. */
export function exclusively<T>({ paths }: Pick<RuntimeContext, 'paths'>, action: () => T): T {
  makeDirectories(paths.run);
  const path = `${paths.run}/lock`;
  using file = open(path, O.RDWR | O.CREAT, 0o600);
  begin('waiting for another netloom that changes something');
  lock(file.number, path);
  begin('working');
  return action();
}
