/** Setting the modification time of a file. utimensat(2). */
import { adapter } from '#ffi';
import { cString } from './libc.ts';

const lib = adapter.load({ utimensat: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' } });

const AT_FDCWD = -100;
/** In place of nanoseconds: leave this one of the two times unchanged. linux/stat.h */
const UTIME_OMIT = 0x3ffffffen;
/** In place of nanoseconds: the current time of the file system, which on a shared mount is that of its server. */
const UTIME_NOW = 0x3fffffffn;
const SECOND = 1_000_000_000n;

/**
 * Sets a file's time of modification, in nanoseconds since 1970.
 * @returns false where that is not allowed or there is no such file
 */
export function trySetMtime(path: string, mtime: bigint): boolean {
  return trySet(path, mtime / SECOND, mtime % SECOND);
}

/** Sets a file's time of modification to now, by the clock of its file system. @returns as trySetMtime() */
export function tryTouch(path: string): boolean {
  return trySet(path, 0n, UTIME_NOW);
}

function trySet(path: string, seconds: bigint, nanoseconds: bigint): boolean {
  // struct timespec[2]: access, modification; two 64-bit words each
  const times = new BigInt64Array([0n, UTIME_OMIT, seconds, nanoseconds]);
  return lib.utimensat(AT_FDCWD, cString(path), new Uint8Array(times.buffer), 0) >= 0;
}
