/** Descriptors inherited from the parent process. man 2 fcntl */
import { adapter } from '#ffi';
import { check } from './libc.ts';

const lib = adapter.load({ fcntl: { args: ['i32', 'i32', 'i32'], returns: 'i32' } });

const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Keeps a descriptor from the programs that this process starts. */
export function closeOnExec(fd: number): void {
  check(lib.fcntl(fd, F_SETFD, FD_CLOEXEC), `keep descriptor ${fd} to ourselves`);
}
