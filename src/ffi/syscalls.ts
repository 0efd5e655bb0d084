/**
 * libc functions that are one system call each, as that call. Bun's FFI compiles a wrapper for every function it binds,
 * 13 µs each in a fresh process; bound through syscall(2) all of these cost one. Numbers: asm/unistd_64.h (x86-64),
 * asm-generic/unistd.h (arm64), which has only the `…at` form of calls that take a path.
 */

/** What syscall(2) takes: numbers, buffers (passed by address), null. */
type Word = number | Uint8Array | null;
export type Syscall = (number: number, ...args: [Word, Word, Word, Word, Word, Word]) => number;

const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;

/** The number of each call: x86-64, arm64. */
const NUMBERS = {
  read: [0, 63],
  write: [1, 64],
  close: [3, 57],
  ioctl: [16, 29],
  getpid: [39, 172],
  socket: [41, 198],
  sendto: [44, 206],
  recvfrom: [45, 207],
  recvmsg: [47, 212],
  shutdown: [48, 210],
  bind: [49, 200],
  listen: [50, 201],
  setsockopt: [54, 208],
  getsockopt: [55, 209],
  flock: [73, 32],
  fsync: [74, 82],
  ftruncate: [77, 46],
  fchdir: [81, 50],
  umask: [95, 166],
  geteuid: [107, 175],
  getdents64: [217, 61],
  exitGroup: [231, 94],
  openat: [257, 56],
  mkdirat: [258, 34],
  unlinkat: [263, 35],
  linkat: [265, 37],
  symlinkat: [266, 36],
  readlinkat: [267, 78],
  fchmodat: [268, 53],
  faccessat: [269, 48],
  ppoll: [271, 73],
  unshare: [272, 97],
  utimensat: [280, 88],
  accept4: [288, 242],
  gettid: [186, 178],
  setns: [308, 268],
  renameat2: [316, 276],
  getrandom: [318, 278],
  statx: [332, 291],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

type Call = keyof typeof NUMBERS;

/** The functions, with the names and arguments that libc gives them. */
export function directCalls(
  syscall: Syscall,
  architecture: string,
): Readonly<Record<string, (...args: Word[]) => number>> {
  const column = architecture === 'arm64' ? 1 : 0;
  const call = (name: Call, a: Word = 0, b: Word = 0, c: Word = 0, d: Word = 0, e: Word = 0, f: Word = 0) =>
    syscall(NUMBERS[name][column], a, b, c, d, e, f);
  return {
    open: (path, flags, mode) => call('openat', AT_FDCWD, path, flags, mode),
    close: (fd) => call('close', fd),
    read: (fd, buffer, size) => call('read', fd, buffer, size),
    write: (fd, buffer, size) => call('write', fd, buffer, size),
    statx: (fd, path, flags, mask, buffer) => call('statx', fd, path, flags, mask, buffer),
    rename: (from, to) => call('renameat2', AT_FDCWD, from, AT_FDCWD, to),
    link: (from, to) => call('linkat', AT_FDCWD, from, AT_FDCWD, to),
    unlink: (path) => call('unlinkat', AT_FDCWD, path),
    rmdir: (path) => call('unlinkat', AT_FDCWD, path, AT_REMOVEDIR),
    mkdir: (path, mode) => call('mkdirat', AT_FDCWD, path, mode),
    symlink: (target, path) => call('symlinkat', target, AT_FDCWD, path),
    readlink: (path, buffer, size) => call('readlinkat', AT_FDCWD, path, buffer, size),
    flock: (fd, operation) => call('flock', fd, operation),
    fsync: (fd) => call('fsync', fd),
    ioctl: (fd, request, argument) => call('ioctl', fd, request, argument),
    socket: (family, type, protocol) => call('socket', family, type, protocol),
    bind: (fd, address, size) => call('bind', fd, address, size),
    setsockopt: (fd, level, name, value, size) => call('setsockopt', fd, level, name, value, size),
    sendto: (fd, buffer, size, flags, to, toSize) => call('sendto', fd, buffer, size, flags, to, toSize),
    recvfrom: (fd, buffer, size, flags, from, fromSize) => call('recvfrom', fd, buffer, size, flags, from, fromSize),
    // ppoll(2), because arm64 has no poll(2).
    poll: (fds, count, milliseconds) => call('ppoll', fds, count, timespec(Number(milliseconds))),
    recvmsg: (fd, message, flags) => call('recvmsg', fd, message, flags),
    shutdown: (fd, how) => call('shutdown', fd, how),
    listen: (fd, backlog) => call('listen', fd, backlog),
    accept4: (fd, address, size, flags) => call('accept4', fd, address, size, flags),
    getsockopt: (fd, level, name, value, size) => call('getsockopt', fd, level, name, value, size),
    ftruncate: (fd, size) => call('ftruncate', fd, size),
    getdents64: (fd, buffer, size) => call('getdents64', fd, buffer, size),
    access: (path, mode) => call('faccessat', AT_FDCWD, path, mode),
    utimensat: (fd, path, times, flags) => call('utimensat', fd, path, times, flags),
    chmod: (path, mode) => call('fchmodat', AT_FDCWD, path, mode),
    fchdir: (fd) => call('fchdir', fd),
    umask: (mask) => call('umask', mask),
    unshare: (flags) => call('unshare', flags),
    setns: (fd, type) => call('setns', fd, type),
    geteuid: () => call('geteuid'),
    getpid: () => call('getpid'),
    gettid: () => call('gettid'),
    getrandom: (buffer, size, flags) => call('getrandom', buffer, size, flags),
    _exit: (status) => call('exitGroup', status),
  };
}

/** struct timespec: s64 seconds, s64 nanoseconds. Null for a negative time: wait for ever. */
function timespec(milliseconds: number): Uint8Array | null {
  if (milliseconds < 0) return null;
  const seconds = Math.floor(milliseconds / 1000);
  return new Uint8Array(BigInt64Array.of(BigInt(seconds), BigInt((milliseconds - seconds * 1000) * 1_000_000)).buffer);
}
