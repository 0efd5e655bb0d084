/**
 * Unix sockets that preserve message boundaries (SOCK_SEQPACKET) and can pass open files. man 7 unix. Everything here
 * blocks, so use it in threads that have nothing else to do.
 */
import { adapter } from '#ffi';
import { ERRNO, systemError } from './errno.ts';
import { Fd } from './file.ts';
import { check, cString, errno, libc, uninterrupted } from './libc.ts';
import { awaitReadable } from './poll.ts';
import { AF_UNIX, UNIX_PATH_MAX, unixAddress } from './unix-address.ts';

const lib = adapter.load({
  listen: { args: ['i32', 'i32'], returns: 'i32' },
  accept4: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' },
  recvmsg: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  shutdown: { args: ['i32', 'i32'], returns: 'i32' },
  chmod: { args: ['ptr', 'u32'], returns: 'i32' },
});

const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 0x08;
const MSG_TRUNC = 0x20;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SHUT_RD = 0;
const SHUT_RDWR = 2;
/** struct msghdr: name, its length, iov, their number, control, its length, flags; words of 64 bits. */
const MSGHDR = 56;
/** struct cmsghdr: length (64 bits), level, type. */
const CMSGHDR = 16;

/** The process at the other end, as the kernel knows it. struct ucred */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
}

/**
 * Creates a socket that listens at a path, accessible to its owner only.
 * @throws NetloomError EADDRINUSE where something is at the path
 */
export function listenAt(path: string, backlog: number): Fd {
  const name = cString(path);
  if (name.length > UNIX_PATH_MAX)
    throw systemError(ERRNO.ENAMETOOLONG, `listen at "${path}", it has ${name.length - 1} bytes`);
  const fd = new Fd(check(libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), 'open a unix socket'));
  try {
    const address = unixAddress(name);
    check(libc.bind(fd.number, address, address.length), `listen at "${path}"`);
    check(lib.chmod(name, 0o600), `protect "${path}"`);
    check(lib.listen(fd.number, backlog), `listen at "${path}"`);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** Refuses new connections. Those already waiting are still accepted, then accept() returns undefined. */
export function stopListening(fd: number): void {
  lib.shutdown(fd, SHUT_RD);
}

/**
 * Ends a conversation for both sides, even while another thread is using it. The descriptor stays open, and what the
 * other side has already sent can still be received.
 * @param last a message for the other side; dropped where its buffer is full
 */
export function hangUp(fd: number, last?: Uint8Array): void {
  if (last !== undefined) libc.sendto(fd, last, last.length, MSG_NOSIGNAL | MSG_DONTWAIT, null, 0);
  lib.shutdown(fd, SHUT_RDWR);
}

/**
 * Whether a connection is waiting, or comes within so many milliseconds. Also true where the socket no longer listens:
 * accept() tells the two apart.
 */
export function isCalled(listening: number, milliseconds: number): boolean {
  return awaitReadable([listening], milliseconds)[0] === true;
}

/** Waits for a connection. @returns undefined where the socket no longer listens */
export function accept(listening: number): Connection | undefined {
  for (;;) {
    const fd = uninterrupted(() => lib.accept4(listening, null, null, SOCK_CLOEXEC));
    if (fd >= 0) return new Connection(fd);
    const reason = errno();
    if (reason === ERRNO.EINVAL) return undefined;
    if (reason !== ERRNO.ECONNABORTED) throw systemError(reason, 'accept a connection');
  }
}

/** A message and the files that came with it. */
export interface Received extends Disposable {
  readonly bytes: Uint8Array;
  readonly files: readonly Fd[];
}

export class Connection implements Disposable {
  readonly #fd: Fd;

  constructor(fd: number) {
    this.#fd = new Fd(fd);
  }

  get fd(): number {
    return this.#fd.number;
  }

  get peer(): Peer {
    const credentials = new Int32Array(3);
    const size = Int32Array.of(12);
    check(
      lib.getsockopt(this.fd, SOL_SOCKET, SO_PEERCRED, bytesOf(credentials), bytesOf(size)),
      'tell who has connected',
    );
    const [pid = 0, uid = -1] = credentials;
    return { pid, uid };
  }

  /** The longest that send() and receive() wait, in seconds; then they throw EAGAIN. */
  limit(seconds: number): void {
    const time = new Uint8Array(BigInt64Array.of(BigInt(seconds), 0n).buffer);
    for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) libc.setsockopt(this.fd, SOL_SOCKET, option, time, time.length);
  }

  /** @throws NetloomError EPIPE where the other end is closed, EAGAIN */
  send(message: Uint8Array): void {
    check(
      uninterrupted(() => libc.sendto(this.fd, message, message.length, MSG_NOSIGNAL, null, 0)),
      'answer',
    );
  }

  /**
   * The next message. Files beyond `files` are closed by the kernel.
   * @param buffer where the message goes. NB: backed by an ArrayBuffer of its own, because structures below hold its
   * address
   * @returns undefined at the end of the conversation, or where a message is longer than the buffer or has more files
   * @throws NetloomError EAGAIN
   */
  receive(buffer: Uint8Array, files = 0): Received | undefined {
    const control = new Uint8Array(new ArrayBuffer(Math.max(CMSGHDR, CMSGHDR + 8 * Math.ceil(files / 2))));
    const part = new Uint8Array(BigUint64Array.of(adapter.address(buffer), BigInt(buffer.length)).buffer);
    const header = new Uint8Array(new ArrayBuffer(MSGHDR));
    const view = new DataView(header.buffer);
    view.setBigUint64(16, adapter.address(part), true);
    view.setBigUint64(24, 1n, true);
    if (files > 0) {
      view.setBigUint64(32, adapter.address(control), true);
      view.setBigUint64(40, BigInt(control.length), true);
    }
    const count = check(
      uninterrupted(() => lib.recvmsg(this.fd, header, MSG_CMSG_CLOEXEC)),
      'read what was sent',
    );
    const received = filesOf(control, files === 0 ? 0 : Number(view.getBigUint64(40, true)));
    const isWhole = (view.getInt32(48, true) & (MSG_TRUNC | MSG_CTRUNC)) === 0;
    if (count > 0 && isWhole) {
      return { bytes: buffer.subarray(0, count), files: received, [Symbol.dispose]: () => closeAll(received) };
    }
    closeAll(received);
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

function filesOf(control: Uint8Array, used: number): Fd[] {
  if (used < CMSGHDR) return [];
  const view = new DataView(control.buffer);
  const length = Math.min(Number(view.getBigUint64(0, true)), used);
  if (view.getInt32(8, true) !== SOL_SOCKET || view.getInt32(12, true) !== SCM_RIGHTS) return [];
  const found: Fd[] = [];
  for (let at = CMSGHDR; at + 4 <= length; at += 4) found.push(new Fd(view.getInt32(at, true)));
  return found;
}

function closeAll(files: readonly Fd[]): void {
  for (const file of files) file.close();
}

function bytesOf(array: Int32Array): Uint8Array {
  return new Uint8Array(array.buffer);
}
