/** Something that happens once, to wake threads that wait in poll(2). man 2 eventfd */
import { adapter } from '#ffi';
import { Fd } from './file.ts';
import { check, libc, uninterrupted } from './libc.ts';

const lib = adapter.load({ eventfd: { args: ['u32', 'i32'], returns: 'i32' } });

const EFD_CLOEXEC = 0o2000000;
const POLLIN = 1;

/** A descriptor that can be read once happen() was called, for ever. */
export function makeEvent(): Fd {
  return new Fd(check(lib.eventfd(0, EFD_CLOEXEC), 'make an event'));
}

export function happen(event: number): void {
  const one = new Uint8Array(BigUint64Array.of(1n).buffer);
  check(libc.write(event, one, one.length), 'tell of an event');
}

/** Waits until one of two descriptors can be read. @returns whether each can */
export function awaitReadable(...fds: readonly [number, number]): [boolean, boolean] {
  // struct pollfd: s32 fd, s16 events, s16 revents
  const entries = new Uint8Array(16);
  const view = new DataView(entries.buffer);
  for (const [i, fd] of fds.entries()) {
    view.setInt32(i * 8, fd, true);
    view.setInt16(i * 8 + 4, POLLIN, true);
  }
  check(
    uninterrupted(() => libc.poll(entries, fds.length, -1)),
    'wait for something to read',
  );
  return [view.getInt16(6, true) !== 0, view.getInt16(14, true) !== 0];
}
