/** Reading what was added to a file. man 2 pread */
import { adapter } from '#ffi';
import { check, uninterrupted } from './libc.ts';

const lib = adapter.load({ pread: { args: ['i32', 'ptr', 'size', 'size'], returns: 'i32' } });

/** Up to `size` bytes from an offset on; fewer where the file ends. */
export function readFrom(fd: number, offset: number, size: number, name: string): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let length = 0; length < size; ) {
    const room = bytes.subarray(length);
    const count = check(
      uninterrupted(() => lib.pread(fd, room, room.length, offset + length)),
      `read ${name}`,
    );
    if (count === 0) return bytes.subarray(0, length);
    length += count;
  }
  return bytes;
}
