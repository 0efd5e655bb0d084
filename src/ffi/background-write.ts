/**
 * A write that a thread of glibc waits for, so that the caller need not. man 7 aio. It falls back on write(2) where a
 * descriptor has no position, so it works for sockets too.
 */
import { adapter } from '#ffi';
import { ERRNO, errnoName } from './errno.ts';

/** struct aiocb of glibc on machines of 64 bits. */
const AIOCB = 168;
const AT = { fd: 0, buffer: 16, length: 24, notify: 44 } as const;
const SIGEV_NONE = 1;
/** How many seconds an idle thread is kept: glibc's default. */
const IDLE = 1;

/** Undefined with a glibc before 2.34, which has these functions in another library. */
const lib = (() => {
  try {
    return adapter.load({
      aio_write: { args: ['ptr'], returns: 'i32' },
      aio_error: { args: ['ptr'], returns: 'i32' },
      aio_return: { args: ['ptr'], returns: 'i32' },
      aio_init: { args: ['ptr'], returns: 'void' },
    });
  } catch {
    return undefined;
  }
})();

export class BackgroundWrite {
  readonly #control: Uint8Array;
  /** NB: held here, because the other thread reads it by its address. */
  readonly #bytes: Uint8Array;

  private constructor(control: Uint8Array, bytes: Uint8Array) {
    this.#control = control;
    this.#bytes = bytes;
  }

  /**
   * How many writes can be in progress at once; any more wait. Without this, glibc starts at most 20 threads. NB: call
   * it before the first write of the process.
   */
  static allow(count: number): void {
    // struct aioinit: threads, expected requests, three unused words, one more, seconds until an idle thread ends,
    // reserved
    lib?.aio_init(new Uint8Array(Int32Array.of(count, count, 0, 0, 0, 0, IDLE, 0).buffer));
  }

  /** @returns undefined where no other thread can do the write */
  static tryStart(fd: number, bytes: Uint8Array): BackgroundWrite | undefined {
    if (lib === undefined) return undefined;
    const copy = new Uint8Array(new ArrayBuffer(bytes.length));
    copy.set(bytes);
    const control = new Uint8Array(new ArrayBuffer(AIOCB));
    const view = new DataView(control.buffer);
    view.setInt32(AT.fd, fd, true);
    view.setBigUint64(AT.buffer, adapter.address(copy), true);
    view.setBigUint64(AT.length, BigInt(copy.length), true);
    view.setInt32(AT.notify, SIGEV_NONE, true);
    return lib.aio_write(control) < 0 ? undefined : new BackgroundWrite(control, copy);
  }

  /** Whether the other thread has finished. NB: until then this object must stay reachable and the descriptor open. */
  get isDone(): boolean {
    return lib?.aio_error(this.#control) !== ERRNO.EINPROGRESS;
  }

  /** The errno of a failed write, by name. */
  get failure(): string | undefined {
    const errno = lib?.aio_error(this.#control) ?? 0;
    return errno === 0 || errno === ERRNO.EINPROGRESS || this.#bytes.length === 0 ? undefined : errnoName(errno);
  }
}
