/** Truncating files. ftruncate(2). */
import { adapter } from '#ffi';
import { check } from './libc.ts';

const lib = adapter.load({ ftruncate: { args: ['i32', 'size'], returns: 'i32' } });

/** Truncates an open file to a length in bytes. */
export function truncate(fd: number, length: number, name: string): void {
  check(lib.ftruncate(fd, length), `cut "${name}"`);
}
