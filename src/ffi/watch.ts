/**
 * Hearing at once that something in a directory was changed. man 7 inotify. NB: on a network file system only of what
 * this machine does.
 */

import { adapter } from '#ffi';
import { ERRNO } from './errno.ts';
import { Fd } from './file.ts';
import { cString, errno, libc, uninterrupted } from './libc.ts';

const lib = adapter.load({
  inotify_init1: { args: ['i32'], returns: 'i32' },
  inotify_add_watch: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
});

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_Q_OVERFLOW = 0x4000;
const IN_ONLYDIR = 0x01000000;
/** struct inotify_event: s32 watch, u32 mask, u32 cookie, u32 length; then the name, filled up with NULs. */
const HEADER = 16;
/** Of one reading, in bytes: some hundred names. */
const BUFFER = 16 << 10;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** What may happen to a file of the directory. linux/inotify.h */
export const IN = {
  /** Something was written; once for each writing. */
  MODIFY: 0x2,
  /** Whoever wrote has closed it. */
  CLOSE_WRITE: 0x8,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  /** Made, be it by link(2). */
  CREATE: 0x100,
  DELETE: 0x200,
} as const;

export class Watch implements Disposable {
  readonly #fd: Fd;
  readonly #buffer = new Uint8Array(BUFFER);

  private constructor(fd: Fd) {
    this.#fd = fd;
  }

  /**
   * @returns undefined where that is not to be had: no such directory, too many watches. Whoever watches looks by
   * himself as well, then and now
   */
  static tryOpen(directory: string, mask: number): Watch | undefined {
    const number = lib.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (number < 0) return undefined;
    const fd = new Fd(number);
    if (lib.inotify_add_watch(number, cString(directory), mask | IN_ONLYDIR) >= 0) return new Watch(fd);
    fd.close();
    return undefined;
  }

  /** Readable where something has happened. */
  get fd(): number {
    return this.#fd.number;
  }

  /**
   * The files that something has happened to since the last call, each once; undefined where it was too much to be
   * told.
   */
  read(): ReadonlySet<string> | undefined {
    const names = new Set<string>();
    let isLost = false;
    for (;;) {
      const length = uninterrupted(() => libc.read(this.fd, this.#buffer, BUFFER));
      if (length <= 0) return isLost || (length < 0 && errno() !== ERRNO.EAGAIN) ? undefined : names;
      const view = new DataView(this.#buffer.buffer, 0, length);
      for (let at = 0; at < length; ) {
        const size = view.getUint32(at + 12, true);
        if ((view.getUint32(at + 4, true) & IN_Q_OVERFLOW) !== 0) isLost = true;
        const name = this.#buffer.subarray(at + HEADER, at + HEADER + size);
        if (size > 0) names.add(decoder.decode(name.subarray(0, name.indexOf(0))));
        at += HEADER + size;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
