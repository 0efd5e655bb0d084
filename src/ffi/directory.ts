/** Listing directories: in a file of its own, because few calls list one and binding costs time. */
import { adapter } from '#ffi';
import { ERRNO, systemError } from './errno.ts';
import { tryOpen } from './file.ts';
import { check, cString, errno } from './libc.ts';

const lib = adapter.load({
  getdents64: { args: ['i32', 'ptr', 'size'], returns: 'i32' },
  rmdir: { args: ['ptr'], returns: 'i32' },
});

/** The names in a directory without `.` and `..`, in no order; undefined where there is no such directory. */
export function tryList(path: string): string[] | undefined {
  using fd = tryOpen(path);
  if (fd === undefined) return undefined;
  const names: string[] = [];
  const buffer = new Uint8Array(64 << 10);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for (;;) {
    const length = check(lib.getdents64(fd.number, buffer, buffer.length), `list "${path}"`);
    if (length === 0) return names;
    // struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name
    for (let at = 0; at < length; ) {
      const size = (buffer[at + 16] ?? 0) | ((buffer[at + 17] ?? 0) << 8);
      const end = buffer.indexOf(0, at + 19);
      const name = decoder.decode(buffer.subarray(at + 19, end));
      if (name !== '.' && name !== '..') names.push(name);
      at += size;
    }
  }
}

/** Removes an empty directory. @returns false where there was none */
export function removeDirectory(path: string): boolean {
  if (lib.rmdir(cString(path)) >= 0) return true;
  if (errno() === ERRNO.ENOENT) return false;
  throw systemError(errno(), `remove the directory "${path}"`);
}
