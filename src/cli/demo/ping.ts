/** ICMP echo requests, so that the demo needs no ping installed. RFC 792. */
import { check, libc } from '../../ffi/libc.ts';
import { awaitReadable } from '../../ffi/poll.ts';
import type { Ip } from '../../net/ip.ts';

const AF_INET = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_ICMP = 1;
const MSG_DONTWAIT = 0x40;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/** Milliseconds until the next request: the first ones may be lost while a link on the path is coming up. */
const INTERVAL = 200;

/**
 * Sends requests to an IPv4 address, from the calling thread's network namespace, until one is answered.
 * @returns the milliseconds between that request and its answer; undefined where none came in time
 */
export function ping(address: Ip, limit = 20_000): number | undefined {
  const fd = check(libc.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), 'open a raw socket');
  try {
    const id = libc.getpid() & 0xffff;
    // struct sockaddr_in: u16 family, be16 port, 4 bytes of address, 8 of zeros
    const to = new Uint8Array(16);
    to[0] = AF_INET;
    to.set(address.bytes, 4);
    /** When each request was sent, by sequence number from 1. */
    const sent: number[] = [];
    const end = performance.now() + limit;
    for (let now = performance.now(), next = now; now < end; now = performance.now()) {
      if (now >= next) {
        const packet = echoRequest(id, sent.push(now));
        check(libc.sendto(fd, packet, packet.length, 0, to, to.length), `send to ${address}`);
        next = now + INTERVAL;
      }
      if (awaitReadable([fd], Math.min(next, end) - now)[0] !== true) continue;
      const at = sent[sequenceOfReply(fd, id, address) - 1];
      if (at !== undefined) return performance.now() - at;
    }
    return undefined;
  } finally {
    libc.close(fd);
  }
}

function echoRequest(id: number, sequence: number): Uint8Array {
  const packet = new Uint8Array(8);
  const view = new DataView(packet.buffer);
  view.setUint8(0, ECHO_REQUEST);
  view.setUint16(4, id);
  view.setUint16(6, sequence);
  let sum = 0;
  for (let at = 0; at < packet.length; at += 2) sum += view.getUint16(at);
  view.setUint16(2, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
  return packet;
}

/**
 * A raw socket gets every ICMP packet, with its IP header. @returns the sequence number; 0 where the packet is not an
 * answer from that address
 */
function sequenceOfReply(fd: number, id: number, from: Ip): number {
  const buffer = new Uint8Array(1500);
  const length = libc.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, null, null);
  if (length < 28) return 0;
  const view = new DataView(buffer.buffer);
  const header = (view.getUint8(0) & 0xf) * 4;
  const isReply = view.getUint8(header) === ECHO_REPLY && view.getUint16(header + 4) === id;
  // NB: an answer to a request to another address may come late.
  return isReply && from.bytes.every((byte, i) => byte === buffer[12 + i]) ? view.getUint16(header + 6) : 0;
}
