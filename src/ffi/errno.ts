/** Names and sentences of Linux errnos (asm-generic/errno-base.h, errno.h; the sentences are strerror's). */
import { type ErrorDetails, NetloomError } from '../error.ts';

const ERRNOS: Readonly<Record<number, readonly [name: string, sentence: string]>> = {
  1: ['EPERM', 'operation not permitted'],
  2: ['ENOENT', 'no such file or directory'],
  3: ['ESRCH', 'no such process or entry'],
  4: ['EINTR', 'interrupted system call'],
  5: ['EIO', 'input/output error'],
  6: ['ENXIO', 'no such device or address'],
  7: ['E2BIG', 'argument list too long'],
  8: ['ENOEXEC', 'not an executable format'],
  9: ['EBADF', 'bad file descriptor'],
  10: ['ECHILD', 'no child processes'],
  11: ['EAGAIN', 'resource temporarily unavailable'],
  12: ['ENOMEM', 'cannot allocate memory'],
  13: ['EACCES', 'permission denied'],
  14: ['EFAULT', 'bad address'],
  16: ['EBUSY', 'device or resource busy'],
  17: ['EEXIST', 'it exists already'],
  18: ['EXDEV', 'invalid cross-device link'],
  19: ['ENODEV', 'no such device'],
  20: ['ENOTDIR', 'not a directory'],
  21: ['EISDIR', 'is a directory'],
  22: ['EINVAL', 'invalid argument'],
  23: ['ENFILE', 'too many open files in the system'],
  24: ['EMFILE', 'too many open files'],
  25: ['ENOTTY', 'inappropriate ioctl for the device'],
  26: ['ETXTBSY', 'text file busy'],
  27: ['EFBIG', 'file too large'],
  28: ['ENOSPC', 'no space left on the device'],
  30: ['EROFS', 'read-only file system'],
  31: ['EMLINK', 'too many links'],
  32: ['EPIPE', 'broken pipe'],
  33: ['EDOM', 'argument out of domain'],
  34: ['ERANGE', 'result out of range'],
  36: ['ENAMETOOLONG', 'file name too long'],
  38: ['ENOSYS', 'function not implemented'],
  39: ['ENOTEMPTY', 'directory not empty'],
  40: ['ELOOP', 'too many levels of symbolic links'],
  61: ['ENODATA', 'no data available'],
  62: ['ETIME', 'timer expired'],
  71: ['EPROTO', 'protocol error'],
  74: ['EBADMSG', 'bad message'],
  75: ['EOVERFLOW', 'value too large'],
  85: ['ERESTART', 'it changed meanwhile and must be tried again'],
  88: ['ENOTSOCK', 'not a socket'],
  90: ['EMSGSIZE', 'message too long'],
  92: ['ENOPROTOOPT', 'protocol not available'],
  93: ['EPROTONOSUPPORT', 'protocol not supported'],
  95: ['EOPNOTSUPP', 'operation not supported'],
  97: ['EAFNOSUPPORT', 'address family not supported'],
  98: ['EADDRINUSE', 'address already in use'],
  99: ['EADDRNOTAVAIL', 'cannot assign the address'],
  100: ['ENETDOWN', 'network is down'],
  101: ['ENETUNREACH', 'network is unreachable'],
  104: ['ECONNRESET', 'connection reset by peer'],
  105: ['ENOBUFS', 'no buffer space available'],
  107: ['ENOTCONN', 'not connected'],
  110: ['ETIMEDOUT', 'timed out'],
  111: ['ECONNREFUSED', 'connection refused'],
  113: ['EHOSTUNREACH', 'no route to host'],
  114: ['EALREADY', 'already in progress'],
  115: ['EINPROGRESS', 'in progress'],
  116: ['ESTALE', 'stale file handle'],
  122: ['EDQUOT', 'disk quota exceeded'],
};

/** The errnos that are compared by number, before an error is created from them. */
export const ERRNO = {
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EINVAL: 22,
  ETXTBSY: 26,
  EFBIG: 27,
  ENAMETOOLONG: 36,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ENOBUFS: 105,
  EINPROGRESS: 115,
} as const;

/** An errno's name, such as `EEXIST`; `E123` for one without a name here. */
export function errnoName(errno: number): string {
  return ERRNOS[errno]?.[0] ?? `E${errno}`;
}

/** An errno's sentence, such as `permission denied`. */
export function errnoSentence(errno: number): string {
  return ERRNOS[errno]?.[1] ?? `error ${errno}`;
}

/** The error for a system call that failed: `Cannot open "/x": ENOENT, no such file or directory`. */
export function systemError(errno: number, action: string, more: ErrorDetails = {}): NetloomError {
  return new NetloomError(errnoName(errno), `Cannot ${action}: ${errnoName(errno)}, ${errnoSentence(errno)}`, more);
}
