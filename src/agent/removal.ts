/**
 * Removes a link without waiting until the kernel has finished with it.
 *
 * RTM_DELLINK returns after 14 to 20 ms, but the link is gone after 0.7: closed, off every list, its addresses and
 * routes flushed, its name and index free. The kernel then reports that (RTM_DELLINK to the multicast group) and
 * releases its big lock. For the rest of the time netdev_run_todo() waits until nobody can hold a pointer to the link's
 * memory. That wait is left to another thread. See docs/decisions.md, which compares this with removing links in
 * groups.
 */

import { removeIfThere, removeOnHostBy } from '../attach/removal.ts';
import { hasCode } from '../error.ts';
import { BackgroundWrite } from '../ffi/background-write.ts';
import { ERRNO } from '../ffi/errno.ts';
import { awaitReadable } from '../ffi/poll.ts';
import { type Ack, NetlinkError, readAck } from '../netlink/error.ts';
import { messagesOf, NLM_F, NLMSG, type RawMessage, type Request, writeMessage } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { openTransport, type Socket } from '../netlink/transport.ts';
import { Writer } from '../netlink/writer.ts';
import { RTM, RTNLGRP } from '../rtnl/constants.ts';
import * as link from '../rtnl/link.ts';

const NETLINK_ROUTE = 0;
const AF_UNSPEC = 0;

/** Removals that other threads still wait for. Their memory and sockets must stay until then. */
class Pending {
  readonly #entries: { readonly write: BackgroundWrite; readonly socket: Socket }[] = [];

  add(write: BackgroundWrite, socket: Socket): void {
    this.#entries.push({ write, socket });
  }

  sweep(): void {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i];
      if (entry?.write.isDone !== true) continue;
      entry.socket.close();
      this.#entries.splice(i, 1);
    }
  }
}

/**
 * How many removals can be pending at once. Each takes the kernel 15 ms when it has little to do, and many times that
 * when it is busy: a removal that had to wait for another one would take as long.
 */
const AT_ONCE = 128;

/** From here on, this thread removes links of the host in this way. */
export function removeInBackground(): void {
  const pending = new Pending();
  BackgroundWrite.allow(AT_ONCE);
  removeOnHostBy((nl, index) => remove(nl, index, pending));
}

function remove(nl: NetlinkSocket, index: number, pending: Pending): boolean {
  pending.sweep();
  const request = link.remove({ index });
  const events = openTransport(NETLINK_ROUTE);
  let socket: Socket | undefined;
  let write: BackgroundWrite | undefined;
  try {
    socket = openTransport(NETLINK_ROUTE);
    // NB: before the message goes out.
    events.join(RTNLGRP.LINK);
    write = BackgroundWrite.tryStart(socket.fd, encode(request));
    if (write === undefined) return removeIfThere(nl, { index });
    const ack = awaitEnd(events, socket, index);
    if (ack !== undefined && ack.errno !== 0 && ack.errno !== ERRNO.ENODEV) throw new NetlinkError(request, ack);
    return ack?.errno !== ERRNO.ENODEV;
  } finally {
    events.close();
    if (socket !== undefined && write?.isDone === false) pending.add(write, socket);
    else socket?.close();
  }
}

function encode(request: Request): Uint8Array {
  const out = new Writer();
  writeMessage(out, request.type, request.flags | NLM_F.REQUEST | NLM_F.ACK, 1, (body) => request.write(body));
  return out.bytes;
}

/**
 * Waits until the link is gone.
 * @returns the kernel's answer where it comes first: the link was gone already, or cannot be removed. Otherwise
 * undefined
 */
function awaitEnd(events: Socket, socket: Socket, index: number): Ack | undefined {
  for (;;) {
    const [isTold, isAnswered] = awaitReadable([events.fd, socket.fd]);
    if (isTold && drain(events).some((message) => isRemovalOf(message, index))) return undefined;
    if (!isAnswered) continue;
    const answer = drain(socket).find(({ type }) => type === NLMSG.ERROR);
    if (answer !== undefined) return readAck(answer);
  }
}

/** NB: a bridge reports its ports with the same message in its own family, earlier. */
function isRemovalOf({ type, payload }: RawMessage, index: number): boolean {
  return type === RTM.DELLINK && payload.getUint8(0) === AF_UNSPEC && payload.getInt32(4, true) === index;
}

/** The messages of one datagram; none where the socket has overflowed. Then only the answer is left to wait for. */
function drain(socket: Socket): RawMessage[] {
  try {
    const datagram = socket.receive(false);
    return datagram === undefined ? [] : messagesOf(datagram.slice());
  } catch (error) {
    if (!hasCode(error, 'ENOBUFS')) throw error;
    return [];
  }
}
