/** The /run below a root. It is in memory on every system; on a disk, a call would take longer than it really does. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Mounts a tmpfs there, until the result is disposed of. */
export function mountRun(root: string): Disposable {
  const path = join(root, 'run');
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'run', path]);
  // NB: lazily, because an agent may not have ended yet.
  return { [Symbol.dispose]: () => execFileSync('umount', ['--lazy', path]) };
}
