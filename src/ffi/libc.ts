/**
 * libc, typed: the calls that every plugin run needs, bound once. Rarer ones are in files of their own beside this one,
 * so that a run that does not need them does not pay for binding them.
 */
import { adapter } from '#ffi';
import { ERRNO, systemError } from './errno.ts';

export const libc = adapter.load({
  open: { args: ['ptr', 'i32', 'u32'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
  read: { args: ['i32', 'ptr', 'size'], returns: 'i32' },
  write: { args: ['i32', 'ptr', 'size'], returns: 'i32' },
  statx: { args: ['i32', 'ptr', 'i32', 'u32', 'ptr'], returns: 'i32' },
  rename: { args: ['ptr', 'ptr'], returns: 'i32' },
  link: { args: ['ptr', 'ptr'], returns: 'i32' },
  unlink: { args: ['ptr'], returns: 'i32' },
  mkdir: { args: ['ptr', 'u32'], returns: 'i32' },
  symlink: { args: ['ptr', 'ptr'], returns: 'i32' },
  readlink: { args: ['ptr', 'ptr', 'size'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  fsync: { args: ['i32'], returns: 'i32' },
  ioctl: { args: ['i32', 'size', 'size'], returns: 'i32' },
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  sendto: { args: ['i32', 'ptr', 'size', 'i32', 'ptr', 'u32'], returns: 'i32' },
  recvfrom: { args: ['i32', 'ptr', 'size', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  poll: { args: ['ptr', 'size', 'i32'], returns: 'i32' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  geteuid: { args: [], returns: 'i32' },
  getpid: { args: [], returns: 'i32' },
  gettid: { args: [], returns: 'i32' },
  getrandom: { args: ['ptr', 'size', 'u32'], returns: 'i32' },
  _exit: { args: ['i32'], returns: 'void' },
});

export const errno = adapter.errno;

/**
 * Returns the result of a call, or throws the error that errno names. The action completes `Cannot …`. NB: check right
 * after the call, because the thread's next one may change errno.
 */
export function check(result: number, action: string): number {
  if (result < 0) throw systemError(errno(), action);
  return result;
}

/** Repeats a call for as long as a signal interrupts it. */
export function uninterrupted(call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0 || errno() !== ERRNO.EINTR) return result;
  }
}

const encoder = new TextEncoder();

/** A string as C wants it. Strings with a NUL inside are refused: C would see a shorter one. */
export function cString(text: string): Uint8Array {
  if (text.includes('\0'))
    throw systemError(ERRNO.EINVAL, `pass ${JSON.stringify(text)} to the kernel, it has a NUL byte`);
  return encoder.encode(`${text}\0`);
}
