/** Waiting until descriptors can be read or written. man 2 poll */
import { ERRNO } from './errno.ts';
import { check, errno, libc, uninterrupted } from './libc.ts';

const POLLIN = 1;
const POLLOUT = 4;

/**
 * Waits until one of the descriptors can be read, or is at its end.
 * @param milliseconds at most; -1 is for ever
 * @returns for each, whether it can
 */
export function awaitReadable(fds: readonly number[], milliseconds = -1): boolean[] {
  return awaitAny(fds, POLLIN, milliseconds);
}

/** Whether the other end of a pipe or socket that we write to is closed. */
export function isBroken(fd: number): boolean {
  return awaitAny([fd], 0, 0)[0] === true;
}

/** As read(2), but waits also where the descriptor was passed to us as non-blocking. */
export function patientRead(fd: number, buffer: Uint8Array | null, size: number): number {
  return patiently(fd, POLLIN, () => libc.read(fd, buffer, size));
}

/** As patientRead(), for write(2). */
export function patientWrite(fd: number, bytes: Uint8Array | null, size: number): number {
  return patiently(fd, POLLOUT, () => libc.write(fd, bytes, size));
}

function patiently(fd: number, event: number, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0 || errno() !== ERRNO.EAGAIN) return result;
    awaitAny([fd], event, -1);
  }
}

function awaitAny(fds: readonly number[], event: number, milliseconds: number): boolean[] {
  // struct pollfd: s32 fd, s16 events, s16 revents
  const entries = new Uint8Array(fds.length * 8);
  const view = new DataView(entries.buffer);
  for (const [i, fd] of fds.entries()) {
    view.setInt32(i * 8, fd, true);
    view.setInt16(i * 8 + 4, event, true);
  }
  const end = performance.now() + milliseconds;
  // NB: only the time that is left, or frequent signals could keep us here for ever.
  const left = () => (milliseconds < 0 ? -1 : Math.max(0, Math.ceil(end - performance.now())));
  check(
    uninterrupted(() => libc.poll(entries, fds.length, left())),
    'wait for descriptors',
  );
  return fds.map((_, i) => view.getInt16(i * 8 + 6, true) !== 0);
}
