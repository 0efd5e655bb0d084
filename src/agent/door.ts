/** The place where callers find the agent: a socket in a directory that only root can enter. */
import { adapter } from '#ffi';
import { begin } from '../activity.ts';
import { happen, makeEvent } from '../ffi/event.ts';
import { type Fd, lock, makeDirectories, O, open, rename, tryStat, unlink } from '../ffi/file.ts';
import { check, cString, libc } from '../ffi/libc.ts';
import { listenAt, stopListening } from '../ffi/unix-socket.ts';
import type { Paths } from '../paths.ts';

const lib = adapter.load({ chmod: { args: ['ptr', 'u32'], returns: 'i32' } });

/** How many callers may wait to be accepted. Any more execute netloom-cni. */
const BACKLOG = 128;

export class Door {
  readonly path: string;
  readonly #socket: Fd;
  readonly #ino: bigint | undefined;
  /** The event that ends accepting, where the socket is somebody else's as well. */
  readonly #closing: Fd | undefined;

  private constructor(path: string, socket: Fd, closing?: Fd) {
    this.path = path;
    this.#socket = socket;
    this.#ino = tryStat(path)?.ino;
    this.#closing = closing;
  }

  /**
   * A door that a service manager has opened. It stays open when this agent ends: callers in between wait for the next
   * agent.
   * NB: shutdown(2) would close it for the manager, too.
   */
  static take({ run }: Pick<Paths, 'run'>, socket: Fd): Door {
    return new Door(`${run}/agent.sock`, socket, makeEvent());
  }

  /**
   * Opens the door. It replaces that of a running agent: from then on callers come here. The other agent notices that,
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

  /** Becomes readable when no more callers are to be accepted; -1 where accept(2) fails then by itself. */
  get closing(): number {
    return this.#closing?.number ?? -1;
  }

  /** Whether callers still find this agent here, and not another or none. */
  get isOurs(): boolean {
    return tryStat(this.path)?.ino === this.#ino;
  }

  /** Lets no more callers in. Those that wait are still served, by this agent or by the next one at the same door. */
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

/** Two agents that begin or end at the same time do so one after the other. */
function hold(run: string): Fd {
  begin('waiting for another agent that begins or ends');
  const fd = open(`${run}/agent.lock`, O.RDWR | O.CREAT);
  lock(fd.number, `${run}/agent.lock`);
  return fd;
}

/** Ends the process at once: nothing is left to flush. */
export function leave(status: number): never {
  libc._exit(status);
  throw new Error('unreachable');
}
