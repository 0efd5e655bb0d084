/** The place where callers find the agent: a socket in a directory that is root's alone. */
import { adapter } from '#ffi';
import { begin } from '../activity.ts';
import { happen, makeEvent } from '../ffi/event.ts';
import { type Fd, lock, makeDirectories, O, open, rename, tryStat, unlink } from '../ffi/file.ts';
import { check, cString, libc } from '../ffi/libc.ts';
import { listenAt, stopListening } from '../ffi/unix-socket.ts';
import type { Paths } from '../paths.ts';

const lib = adapter.load({ chmod: { args: ['ptr', 'u32'], returns: 'i32' } });

/** Callers that wait to be accepted. Who comes when so many do executes netloom-cni. */
const BACKLOG = 128;

export class Door {
  readonly path: string;
  readonly #socket: Fd;
  readonly #ino: bigint | undefined;
  /** What happens when nobody is to be accepted any more, where the socket is somebody else's as well. */
  readonly #closing: Fd | undefined;

  private constructor(path: string, socket: Fd, closing?: Fd) {
    this.path = path;
    this.#socket = socket;
    this.#ino = tryStat(path)?.ino;
    this.#closing = closing;
  }

  /**
   * A door that a service manager has opened, and that stays open when this agent ends: who comes in between waits for
   * the next one.
   * NB: shutdown(2) would close it for the manager, too.
   */
  static take({ run }: Pick<Paths, 'run'>, socket: Fd): Door {
    return new Door(`${run}/agent.sock`, socket, makeEvent());
  }

  /**
   * Opens it. An agent that is there already is succeeded: callers come here from one moment to the next, it sees so
   * and leaves when its calls have ended.
   */
  static open({ run }: Pick<Paths, 'run'>): Door {
    makeDirectories(run, 0o700);
    check(lib.chmod(cString(run), 0o700), `protect "${run}"`);
    using held = hold(run);
    const path = `${run}/agent.sock`;
    const beside = `${path}.new`;
    unlink(beside);
    const socket = listenAt(beside, BACKLOG);
    rename(beside, path);
    void held;
    return new Door(path, socket);
  }

  /** What to accept calls from. */
  get fd(): number {
    return this.#socket.number;
  }

  /** Readable once nobody is to be accepted any more, or -1 where accepting says so by itself. */
  get closing(): number {
    return this.#closing?.number ?? -1;
  }

  /** Whether callers still find this agent here, and not another or none. */
  get isOurs(): boolean {
    return tryStat(this.path)?.ino === this.#ino;
  }

  /** Nobody comes in any more; who waits is still served, by this agent or by the next one at the same door. */
  close({ run }: Pick<Paths, 'run'>): void {
    if (this.#closing !== undefined) {
      happen(this.#closing.number);
      return;
    }
    using held = hold(run);
    if (this.isOurs) unlink(this.path);
    void held;
    stopListening(this.fd);
  }
}

/** Two agents that begin or end at once do so one after the other. */
function hold(run: string): Fd {
  begin('waiting for another agent that begins or ends');
  const fd = open(`${run}/agent.lock`, O.RDWR | O.CREAT);
  lock(fd.number, `${run}/agent.lock`);
  return fd;
}

/** For the end: nothing is left to flush. */
export function leave(status: number): never {
  libc._exit(status);
  throw new Error('unreachable');
}
