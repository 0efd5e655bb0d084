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

/** Waits until one of the descriptors can be read. @param milliseconds at most; -1 is for ever @returns whether each can */
export function awaitReadable(fds: readonly number[], milliseconds = -1): boolean[] {
  // struct pollfd: s32 fd, s16 events, s16 revents
  const entries = new Uint8Array(fds.length * 8);
  const view = new DataView(entries.buffer);
  for (const [i, fd] of fds.entries()) {
    view.setInt32(i * 8, fd, true);
    view.setInt16(i * 8 + 4, POLLIN, true);
  }
  check(
    uninterrupted(() => libc.poll(entries, fds.length, milliseconds < 0 ? -1 : Math.ceil(milliseconds))),
    'wait for something to read',
  );
  return fds.map((_, i) => view.getInt16(i * 8 + 6, true) !== 0);
}
