/** One ICMP echo request, so that the demo needs no ping installed. RFC 792. */
import { check, libc, uninterrupted } from '../../ffi/libc.ts';
import type { Ip } from '../../net/ip.ts';

const AF_INET = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_ICMP = 1;
const POLLIN = 1;
const MSG_DONTWAIT = 0x40;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/**
 * Asks an IPv4 address for an answer, from the calling thread's network namespace.
 * @returns the time it took in milliseconds, or undefined where none came in time
 */
export function ping(address: Ip, limit = 2_000): number | undefined {
  const fd = check(libc.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), 'open a raw socket');
  try {
    const id = libc.getpid() & 0xffff;
    const packet = echoRequest(id);
    // struct sockaddr_in: u16 family, be16 port, 4 bytes of address, 8 of zeros
    const to = new Uint8Array(16);
    to[0] = AF_INET;
    to.set(address.bytes, 4);
    const start = performance.now();
    check(libc.sendto(fd, packet, packet.length, 0, to, to.length), `send to ${address}`);
    for (;;) {
      const left = start + limit - performance.now();
      if (left <= 0 || !isReadable(fd, left)) return undefined;
      if (isReply(fd, id)) return performance.now() - start;
    }
  } finally {
    libc.close(fd);
  }
}

function echoRequest(id: number): Uint8Array {
  const packet = new Uint8Array(8);
  const view = new DataView(packet.buffer);
  view.setUint8(0, ECHO_REQUEST);
  view.setUint16(4, id);
  view.setUint16(6, 1);
  let sum = 0;
  for (let at = 0; at < packet.length; at += 2) sum += view.getUint16(at);
  view.setUint16(2, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
  return packet;
}

function isReadable(fd: number, milliseconds: number): boolean {
  const view = new DataView(new ArrayBuffer(8));
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLIN, true);
  return uninterrupted(() => libc.poll(new Uint8Array(view.buffer), 1, Math.ceil(milliseconds))) > 0;
}

/** A raw socket gets every ICMP packet, with its IP header. */
function isReply(fd: number, id: number): boolean {
  const buffer = new Uint8Array(1500);
  const length = libc.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, null, null);
  if (length < 28) return false;
  const view = new DataView(buffer.buffer);
  const header = (view.getUint8(0) & 0xf) * 4;
  return view.getUint8(header) === ECHO_REPLY && view.getUint16(header + 4) === id;
}
