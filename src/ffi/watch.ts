/**
 * Immediate notice of changes in a directory. man 7 inotify. NB: on a network file system only of changes by this
 * machine.
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
/** struct inotify_event: s32 watch, u32 mask, u32 cookie, u32 length; then the name, padded with NULs. */
const HEADER = 16;
/** Bytes of one read: some hundred names. */
const BUFFER = 16 << 10;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Events of the directory's files. linux/inotify.h */
export const IN = {
  /** Written to; one event per write. */
  MODIFY: 0x2,
  /** Closed by a process that had it open for writing. */
  CLOSE_WRITE: 0x8,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  /** Created, also by link(2). */
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
   * @returns undefined where it cannot be watched: no such directory, too many watches. Callers must look for
   * themselves as well, in either case
   */
  static tryOpen(directory: string, mask: number): Watch | undefined {
    const number = lib.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (number < 0) return undefined;
    const fd = new Fd(number);
    if (lib.inotify_add_watch(number, cString(directory), mask | IN_ONLYDIR) >= 0) return new Watch(fd);
    fd.close();
    return undefined;
  }

  /** Readable when an event has come. */
  get fd(): number {
    return this.#fd.number;
  }

  /** The files with events since the last call, each once; undefined where events were lost. */
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
