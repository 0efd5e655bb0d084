/** A netlink socket at the level of datagrams. Tests put a plain object in its place. */
import { hasCode } from '../error.ts';
import { ERRNO, systemError } from '../ffi/errno.ts';
import { check, errno, libc, uninterrupted } from '../ffi/libc.ts';
import { awaitReadable } from '../ffi/poll.ts';
import { isVisiting } from '../netns/within.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_LISTEN_ALL_NSID = 8;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
/** Size of struct sockaddr_nl: u16 family, u16 pad, u32 port, u32 groups. */
const SOCKADDR_NL = 12;
/** The int 1, for options that are on. */
const ONE = Uint8Array.of(1, 0, 0, 0);

export interface Transport {
  /** The descriptor for poll(2), where this is a real socket. */
  readonly fd?: number;
  send(datagram: Uint8Array): void;
  /**
   * The next datagram from the kernel, valid until the thread's next call of any transport. Undefined where there is
   * none and `wait` is false.
   */
  receive(wait: boolean): Uint8Array | undefined;
  /** Joins a multicast group (RTNLGRP_*); with `everywhere` also in each namespace that this one has an nsid for. */
  join(group: number, everywhere?: boolean): void;
  /** Whether something arrives within so many milliseconds. */
  poll(milliseconds: number): boolean;
  close(): void;
}

/** A transport to the kernel itself. */
export type Socket = Transport & { readonly fd: number };

/**
 * The receive buffer of all sockets of the thread. The kernel fills a page for each part of a dump, and up to 32 KiB
 * where the reader offers that much. A buffer per socket would be most of a call's garbage. NB: per thread.
 */
let buffer = new Uint8Array(0);
const BUFFER = 32 << 10;

/** Idle sockets of the thread's own namespace, by protocol; undefined where none are kept. NB: per thread. */
let kept: Map<number, Socket[]> | undefined;

/**
 * From now on this thread keeps the sockets that it opens in its own namespace, and reuses them. For a long-lived
 * thread: closing a socket of nf_tables waits for the kernel (nft_rcv_nl_event(), 12 ms) if anyone removed something
 * shortly before.
 */
export function keepTransports(): void {
  kept ??= new Map();
}

/** Opens a socket in the calling thread's network namespace; it stays there when the thread leaves. */
export function openTransport(protocol: number): Socket {
  if (kept === undefined || isVisiting()) return open(protocol);
  const sockets = kept.get(protocol) ?? [];
  kept.set(protocol, sockets);
  const socket = sockets.pop() ?? open(protocol);
  // Drop what the last user left unread.
  while (isUnread(socket));
  return keptOpen(socket, sockets);
}

function isUnread(socket: Socket): boolean {
  try {
    return socket.receive(false) !== undefined;
  } catch (error) {
    if (hasCode(error, 'ENOBUFS')) return true;
    throw error;
  }
}

/** Closing puts the socket back among the kept ones, unless it has joined a multicast group. */
function keptOpen(socket: Socket, sockets: Socket[]): Socket {
  let isKept = true;
  let isOpen = true;
  return {
    ...socket,
    fd: socket.fd,
    join(group, everywhere) {
      isKept = false;
      socket.join(group, everywhere);
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      if (isKept) sockets.push(socket);
      else socket.close();
    },
  };
}

function open(protocol: number): Socket {
  let fd = boundSocket(protocol);
  if (buffer.length < BUFFER) buffer = new Uint8Array(BUFFER);
  const sender: Sender = { address: new Uint8Array(SOCKADDR_NL), length: new Uint8Array(4) };
  return {
    get fd() {
      return fd;
    },
    send: (datagram) => send(fd, datagram),
    receive(wait) {
      for (;;) {
        const length = receive(fd, sender, wait);
        if (length === undefined) return undefined;
        if (isKernel(sender)) return buffer.subarray(0, length);
      }
    },
    join(group, everywhere) {
      if (everywhere === true)
        check(libc.setsockopt(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, ONE, 4), 'listen to other namespaces');
      const number = new Uint8Array(Uint32Array.of(group).buffer);
      check(libc.setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number, 4), `join netlink group ${group}`);
    },
    poll: (milliseconds) => awaitReadable([fd], milliseconds)[0] === true,
    close() {
      // NB: once only, the number may be another file's by the second time.
      if (fd >= 0) libc.close(fd);
      fd = -1;
    },
  };
}

function boundSocket(protocol: number): number {
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'open a netlink socket');
  // With port 0: the kernel chooses. NB: a socket without a port, that is before its first send, hears no multicast
  // group (do_one_broadcast() takes port 0 for the sender's own).
  const self = new Uint8Array(SOCKADDR_NL);
  self[0] = AF_NETLINK;
  if (libc.bind(fd, self, self.length) < 0) {
    const reason = errno();
    libc.close(fd);
    throw systemError(reason, 'bind a netlink socket');
  }
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
    // Kernels before 4.3, 4.12 and 4.20 refuse these: answers are then less precise, not wrong.
    libc.setsockopt(fd, SOL_NETLINK, option, ONE, 4);
  }
  return fd;
}

function send(fd: number, datagram: Uint8Array): void {
  const attempt = () => uninterrupted(() => libc.sendto(fd, datagram, datagram.length, 0, null, 0));
  let sent = attempt();
  if (sent < 0 && errno() === ERRNO.EMSGSIZE) {
    // Longer than the socket's buffer (208 KiB): a large transaction. The kernel doubles the number that it is given.
    const size = new Uint8Array(Uint32Array.of(datagram.length).buffer);
    const isForced = libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, size, 4) >= 0;
    if (!isForced) libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size, 4);
    sent = attempt();
  }
  check(sent, `send ${datagram.length} bytes to the kernel`);
}

/** Where recvfrom(2) puts the sender's address. */
interface Sender {
  readonly address: Uint8Array;
  readonly length: Uint8Array;
}

/** @returns the length of the datagram in the buffer; undefined where there is none and `wait` is false */
function receive(fd: number, { address, length }: Sender, wait: boolean): number | undefined {
  length[0] = address.length;
  const flags = MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT);
  const size = uninterrupted(() => libc.recvfrom(fd, buffer, buffer.length, flags, address, length));
  if (size < 0) {
    const reason = errno();
    if (reason === ERRNO.EAGAIN) return undefined;
    if (reason === ERRNO.ENOBUFS)
      throw systemError(reason, 'read from the kernel, it had more to say than the socket holds');
    throw systemError(reason, 'read from the kernel');
  }
  if (size > buffer.length) {
    buffer = new Uint8Array(size);
    throw systemError(ERRNO.EMSGSIZE, `read from the kernel, a datagram of ${size} bytes was cut`);
  }
  return size;
}

/** Port 0 is the kernel; other processes may not answer for it. */
function isKernel({ address }: Sender): boolean {
  return address[4] === 0 && address[5] === 0 && address[6] === 0 && address[7] === 0;
}
