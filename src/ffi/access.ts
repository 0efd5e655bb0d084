/** Whether this process may do something with a file. access(2). */
import { adapter } from '#ffi';
import { errnoName, errnoSentence } from './errno.ts';
import { cString, errno } from './libc.ts';

const lib = adapter.load({ access: { args: ['ptr', 'i32'], returns: 'i32' } });

const W_OK = 2;

/** Why a path cannot be written to, such as `EROFS, read-only file system`; undefined where it can. */
export function writeFault(path: string): string | undefined {
  if (lib.access(cString(path), W_OK) >= 0) return undefined;
  return `${errnoName(errno())}, ${errnoSentence(errno())}`;
}
