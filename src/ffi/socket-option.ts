/** Socket options whose value is more than a number. man 2 getsockopt */
import { adapter } from '#ffi';
import { check } from './libc.ts';

const lib = adapter.load({ getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' } });

/** @param value the input of the query; the answer overwrites it */
export function getSocketOption(fd: number, level: number, option: number, value: Uint8Array, action: string): void {
  const size = new Uint8Array(Uint32Array.of(value.length).buffer);
  check(lib.getsockopt(fd, level, option, value, size), action);
}
