/** One command that changes something at a time: what one reads must still hold when it acts. */
import { begin } from '../activity.ts';
import { lock, makeDirectories, O, open } from '../ffi/file.ts';
import type { RuntimeContext } from './context.ts';

/** Runs a function while no other process of this kind does. The lock falls with the process. */
export function exclusively<T>({ paths }: Pick<RuntimeContext, 'paths'>, action: () => T): T {
  makeDirectories(paths.run);
  const path = `${paths.run}/lock`;
  using file = open(path, O.RDWR | O.CREAT, 0o600);
  begin('waiting for another netloom that changes something');
  lock(file.number, path);
  begin('working');
  return action();
}
