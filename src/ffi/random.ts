import { check, libc } from './libc.ts';

/** Random bytes from the kernel. man 2 getrandom; up to 256 bytes come whole, in one call. */
export function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  check(libc.getrandom(bytes, count, 0), 'get random bytes');
  return bytes;
}
