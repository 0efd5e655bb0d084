/** What belongs to a thread once it has asked for it: its directory and its umask. man 2 unshare, CLONE_FS. */
import { adapter } from '#ffi';
import { check } from './libc.ts';

const lib = adapter.load({
  unshare: { args: ['i32'], returns: 'i32' },
  fchdir: { args: ['i32'], returns: 'i32' },
  umask: { args: ['u32'], returns: 'i32' },
});

const CLONE_FS = 0x200;

/** From here on the calling thread has a directory and a umask of its own, as have the programs that it runs. */
export function ownDirectory(): void {
  check(lib.unshare(CLONE_FS), 'give a thread a directory of its own');
}

export function enterDirectory(fd: number): void {
  check(lib.fchdir(fd), 'enter the directory of the caller');
}

/** @returns the one before */
export function setUmask(mask: number): number {
  return lib.umask(mask);
}
