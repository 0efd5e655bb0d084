/** A kernel made of a function: it gets every message that we send, and returns the datagrams that come back. */
import { systemError } from '../../src/ffi/errno.ts';
import { messagesOf, NLMSG, type RawMessage, writeMessage } from '../../src/netlink/message.ts';
import { NetlinkSocket, type SocketOptions } from '../../src/netlink/socket.ts';
import type { Transport } from '../../src/netlink/transport.ts';
import { written } from './bytes.ts';

/** A datagram that arrives, or the errno with which reading fails. */
export type Arrival = Uint8Array | number;

export interface FakeKernel {
  readonly socket: NetlinkSocket;
  /** What was sent, message by message. */
  readonly sent: RawMessage[];
  /** Puts something into the socket, like a notification. */
  arrive(...arrivals: Arrival[]): void;
}

export function fakeKernel(
  answer: (message: RawMessage, round: number) => readonly Arrival[],
  options: SocketOptions = {},
): FakeKernel {
  const queue: Arrival[] = [];
  const sent: RawMessage[] = [];
  let round = 0;
  const transport: Transport = {
    send(datagram) {
      for (const message of messagesOf(datagram.slice())) {
        sent.push(message);
        queue.push(...answer(message, round));
      }
      round++;
    },
    receive(wait) {
      const next = queue.shift();
      if (typeof next === 'number') throw systemError(next, 'read from the kernel');
      if (next === undefined && wait) throw new Error('the test would wait for ever');
      return next;
    },
    join() {},
    poll: () => queue.length > 0,
    close() {},
  };
  return {
    socket: new NetlinkSocket(0, { ...options, transport }),
    sent,
    arrive: (...arrivals) => queue.push(...arrivals),
  };
}

export function datagram(...messages: Uint8Array[]): Uint8Array {
  return Uint8Array.from(messages.flatMap((message) => [...message]));
}

export function message(
  type: number,
  flags: number,
  sequence: number,
  payload: Uint8Array = new Uint8Array(),
): Uint8Array {
  return written((out) => writeMessage(out, type, flags, sequence, (body) => body.raw(payload)));
}

/** NLMSG_ERROR, capped: the errno and the header of the request. */
export function ack(sequence: number, errno = 0): Uint8Array {
  const payload = new DataView(new ArrayBuffer(20));
  payload.setInt32(0, -errno, true);
  payload.setUint32(4, 16, true);
  return message(NLMSG.ERROR, 0x100, sequence, new Uint8Array(payload.buffer));
}

export function done(sequence: number, flags = 2, errno = 0): Uint8Array {
  return message(NLMSG.DONE, flags, sequence, new Uint8Array(Int32Array.of(-errno).buffer));
}
