/** Files, by libc: under Bun node:fs costs 1 to 2.7 ms to load, a third of what a whole call may take. */

import { ERRNO, errnoName, systemError } from './errno.ts';
import { cString, errno, libc, check as must, uninterrupted } from './libc.ts';

export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  CLOEXEC: 0o2000000,
} as const;

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const S_IFMT = 0o170000;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** A file descriptor that closes itself at the end of its scope. */
export class Fd implements Disposable {
  #number: number;

  constructor(number: number) {
    this.#number = number;
  }

  get number(): number {
    return this.#number;
  }

  close(): void {
    const number = this.#number;
    this.#number = -1;
    if (number >= 0) libc.close(number);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What statx(2) reports about a file. */
export interface Stat {
  readonly dev: string;
  readonly ino: bigint;
  /** Type and permission bits, as in st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly size: number;
  /** Last change of the content, in nanoseconds since 1970. */
  readonly mtime: bigint;
}

export function isDirectory(stat: Stat): boolean {
  return (stat.mode & S_IFMT) === 0o040000;
}

export function isRegular(stat: Stat): boolean {
  return (stat.mode & S_IFMT) === 0o100000;
}

export function isSocket(stat: Stat): boolean {
  return (stat.mode & S_IFMT) === 0o140000;
}

/** @throws NetloomError ENOENT and the rest of open(2) */
export function open(path: string, flags: number = O.RDONLY, mode = 0o600): Fd {
  return new Fd(
    must(
      uninterrupted(() => libc.open(cString(path), flags | O.CLOEXEC, mode)),
      `open "${path}"`,
    ),
  );
}

/** As open(), but undefined where there is no such file. */
export function tryOpen(path: string, flags: number = O.RDONLY): Fd | undefined {
  const fd = uninterrupted(() => libc.open(cString(path), flags | O.CLOEXEC, 0));
  if (fd >= 0) return new Fd(fd);
  if (errno() === ERRNO.ENOENT || errno() === ERRNO.ENOTDIR) return undefined;
  throw systemError(errno(), `open "${path}"`);
}

/**
 * The first buffer of each read. NB: one per thread, in use during one read only. A buffer for each of 5,000 small
 * files would be 40 MB of garbage.
 */
const page = new Uint8Array(8192);

/**
 * Reads to the end. The limit, in bytes, guards against files that are not ours, such as an endless pipe or a device.
 * @throws NetloomError EFBIG where there are more bytes
 */
export function readAll(fd: number, name: string, limit = 16 << 20, read: typeof libc.read = libc.read): Uint8Array {
  let buffer = page;
  let length = 0;
  for (;;) {
    if (length > limit) throw systemError(ERRNO.EFBIG, `read ${name}, it has more than ${limit} bytes`);
    if (length === buffer.length) {
      const larger = new Uint8Array(buffer.length * 4);
      larger.set(buffer);
      buffer = larger;
    }
    const room = buffer.subarray(length);
    const count = must(
      uninterrupted(() => read(fd, room, room.length)),
      `read ${name}`,
    );
    if (count === 0) return buffer === page ? page.slice(0, length) : buffer.subarray(0, length);
    length += count;
  }
}

export function writeAll(fd: number, bytes: Uint8Array, name: string, write: typeof libc.write = libc.write): void {
  for (let offset = 0; offset < bytes.length; ) {
    const rest = bytes.subarray(offset);
    offset += must(
      uninterrupted(() => write(fd, rest, rest.length)),
      `write ${name}`,
    );
  }
}

const encoder = new TextEncoder();
/** NB: the first character of a file or of a name may be a byte order mark, and is kept. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of a file. @throws NetloomError ENOENT and others */
export function readText(path: string): string {
  using fd = open(path);
  return decoder.decode(readAll(fd.number, `"${path}"`));
}

/** The text of a file, or undefined where there is none. */
export function tryReadText(path: string): string | undefined {
  using fd = tryOpen(path);
  return fd && decoder.decode(readAll(fd.number, `"${path}"`));
}

/**
 * Writes to an existing file (a sysctl) or a new one, in place. For files of ours that must survive a crash use
 * replaceText().
 */
export function writeText(path: string, text: string, flags: number = O.WRONLY): void {
  using fd = open(path, flags);
  writeAll(fd.number, encoder.encode(text), `"${path}"`);
}

/**
 * Writes a temporary file beside the target, syncs it and renames it. A reader sees the old content or the new,
 * whenever a crash happens.
 */
export function replaceText(path: string, text: string, mode = 0o600): void {
  // NB: by thread id, since the agent's threads are one process.
  const beside = `${path}.${libc.gettid()}.tmp`;
  try {
    {
      using fd = open(beside, O.WRONLY | O.CREAT | O.TRUNC, mode);
      writeAll(fd.number, encoder.encode(text), `"${beside}"`);
      must(libc.fsync(fd.number), `sync "${beside}"`);
    }
    rename(beside, path);
  } catch (error) {
    libc.unlink(cString(beside));
    throw error;
  }
}

export function rename(from: string, to: string): void {
  must(libc.rename(cString(from), cString(to)), `rename "${from}" to "${to}"`);
}

/** Removes a file. @returns false where there was none */
export function unlink(path: string): boolean {
  if (libc.unlink(cString(path)) >= 0) return true;
  if (errno() === ERRNO.ENOENT || errno() === ERRNO.ENOTDIR) return false;
  throw systemError(errno(), `remove "${path}"`);
}

/** Gives a file a second name. @returns false where the name is taken */
export function tryLink(existing: string, name: string): boolean {
  if (libc.link(cString(existing), cString(name)) >= 0) return true;
  if (errno() === ERRNO.EEXIST) return false;
  throw systemError(errno(), `link "${name}" to "${existing}"`);
}

/** Makes a symbolic link. @returns false where the name is taken */
export function trySymlink(target: string, name: string): boolean {
  if (libc.symlink(cString(target), cString(name)) >= 0) return true;
  if (errno() === ERRNO.EEXIST) return false;
  throw systemError(errno(), `make the link "${name}"`);
}

/** Where a symbolic link points, or undefined where there is none. */
export function tryReadlink(path: string): string | undefined {
  const buffer = new Uint8Array(4096);
  const length = libc.readlink(cString(path), buffer, buffer.length);
  if (length >= 0) return decoder.decode(buffer.subarray(0, length));
  if (errno() === ERRNO.ENOENT || errno() === ERRNO.ENOTDIR) return undefined;
  throw systemError(errno(), `read the link "${path}"`);
}

/**
 * Makes a directory and its parents.
 * Equivalent to: `mkdir -p`
 * @throws NetloomError EEXIST where a file has the name
 */
export function makeDirectories(path: string, mode = 0o755): void {
  if (makeDirectory(path, mode)) return;
  const above = directoryOf(path);
  if (above === undefined) throw systemError(ERRNO.ENOENT, `make the directory "${path}"`);
  makeDirectories(above, mode);
  if (!makeDirectory(path, mode)) throw systemError(ERRNO.ENOENT, `make the directory "${path}"`);
}

/** @returns false where the parent is missing */
function makeDirectory(path: string, mode: number): boolean {
  if (libc.mkdir(cString(path), mode) >= 0) return true;
  const reason = errno();
  if (reason === ERRNO.ENOENT) return false;
  const stat = reason === ERRNO.EEXIST ? tryStat(path) : undefined;
  if (stat === undefined || !isDirectory(stat)) throw systemError(reason, `make the directory "${path}"`);
  return true;
}

/** The directory that a path is in: `/a` of `/a/b/`. Undefined where the path has none: `a`, `/`. */
export function directoryOf(path: string): string | undefined {
  const above = path.replace(/\/+$/, '').replace(/[^/]+$/, '');
  const trimmed = above.replace(/\/+$/, '');
  if (trimmed !== '') return trimmed;
  return above === '' || /^\/+$/.test(path) ? undefined : '/';
}

/** The status of a file, symbolic links followed; undefined where nothing is at the path. */
export function tryStat(path: string, { follow = true }: { follow?: boolean } = {}): Stat | undefined {
  const flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
  if (libc.statx(AT_FDCWD, cString(path), flags, STATX_BASIC_STATS, page) >= 0) return decodeStat(page);
  if (errno() === ERRNO.ENOENT || errno() === ERRNO.ENOTDIR) return undefined;
  throw systemError(errno(), `look at "${path}"`);
}

/** The status of an open descriptor. */
export function statFd(fd: number): Stat {
  const buffer = new Uint8Array(256);
  must(libc.statx(fd, cString(''), AT_EMPTY_PATH, STATX_BASIC_STATS, buffer), `look at descriptor ${fd}`);
  return decodeStat(buffer);
}

/** struct statx of linux/stat.h, the same on every architecture. */
function decodeStat(buffer: Uint8Array): Stat {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  return {
    uid: view.getUint32(20, true),
    mode: view.getUint16(28, true),
    ino: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    mtime: view.getBigInt64(112, true) * 1_000_000_000n + BigInt(view.getUint32(120, true)),
    dev: `${view.getUint32(136, true)}:${view.getUint32(140, true)}`,
  };
}

/** Waits for the exclusive lock of an open file. It is released when the descriptor is closed, however that happens. */
export function lock(fd: number, name: string): void {
  must(
    uninterrupted(() => libc.flock(fd, LOCK_EX)),
    `lock "${name}"`,
  );
}

/**
 * As lock(), for a lock that others hold as long as they like.
 * @param milliseconds how long to try, every `every` milliseconds
 * @returns false where somebody held it all that time
 */
export function tryLock(fd: number, name: string, milliseconds: number, every = 10): boolean {
  const end = performance.now() + milliseconds;
  while (uninterrupted(() => libc.flock(fd, LOCK_EX | LOCK_NB)) < 0) {
    if (errno() !== ERRNO.EAGAIN) throw systemError(errno(), `lock "${name}"`);
    if (performance.now() >= end) return false;
    libc.poll(null, 0, every);
  }
  return true;
}

export function unlock(fd: number): void {
  libc.flock(fd, LOCK_UN);
}

/** The errno of the last failed call, by name; for the few callers that handle cases themselves. */
export function lastErrno(): string {
  return errnoName(errno());
}
