/** Something that happens, to wake threads that wait in poll(2) (poll.ts). man 2 eventfd */
import { adapter } from '#ffi';
import { Fd } from './file.ts';
import { check, libc } from './libc.ts';

const lib = adapter.load({ eventfd: { args: ['u32', 'i32'], returns: 'i32' } });

const EFD_CLOEXEC = 0o2000000;

/** A descriptor that can be read once happen() was called, until forget(). */
export function makeEvent(): Fd {
  return new Fd(check(lib.eventfd(0, EFD_CLOEXEC), 'make an event'));
}

export function happen(event: number): void {
  const one = new Uint8Array(BigUint64Array.of(1n).buffer);
  check(libc.write(event, one, one.length), 'tell of an event');
}

/** Resets an event. NB: only when it can be read; otherwise this blocks. */
export function forget(event: number): void {
  const count = new Uint8Array(8);
  check(libc.read(event, count, count.length), 'forget an event');
}
