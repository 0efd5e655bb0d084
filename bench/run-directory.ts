/**
 * Below a root, what lies in memory on every system: /run. On a disk it would cost a call more than it does where it
 * belongs.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Mounts a tmpfs there, for as long as the result is not disposed of. */
export function mountRun(root: string): Disposable {
  const path = join(root, 'run');
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'run', path]);
  // NB: lazily, because an agent may still be about to end.
  return { [Symbol.dispose]: () => execFileSync('umount', ['--lazy', path]) };
}
