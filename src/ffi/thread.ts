/** Attributes that a thread can have for itself: its working directory and its umask. man 2 unshare, CLONE_FS. */
import { adapter } from '#ffi';
import { check } from './libc.ts';

const lib = adapter.load({
  unshare: { args: ['i32'], returns: 'i32' },
  fchdir: { args: ['i32'], returns: 'i32' },
  umask: { args: ['u32'], returns: 'i32' },
});

const CLONE_FS = 0x200;

/** From now on the calling thread, and the programs that it runs, have a working directory and a umask of their own. */
export function ownDirectory(): void {
  check(lib.unshare(CLONE_FS), 'give a thread a directory of its own');
}

export function enterDirectory(fd: number): void {
  check(lib.fchdir(fd), 'enter the directory of the caller');
}

/** @returns the previous one */
export function setUmask(mask: number): number {
  return lib.umask(mask);
}
