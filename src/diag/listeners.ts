/**
 * Listeners on this host: the sockets that wait for packets to a port. SOCK_DIAG_BY_FAMILY of linux/sock_diag.h with
 * linux/inet_diag.h.
 *
 * Why not /proc/net/tcp: there the kernel prints every connection as a line of text, established ones included, before
 * the first listener. Here it walks only the listeners, and returns those of the requested port.
 */
import { hasCode } from '../error.ts';
import { FAMILIES, Ip } from '../net/ip.ts';
import type { AttrTable } from '../netlink/attribute.ts';
import { be16, be32, u8, u32 } from '../netlink/codec.ts';
import { type Message, type MessageKind, type Request, request } from '../netlink/message.ts';
import { NetlinkSocket, type SocketOptions } from '../netlink/socket.ts';
import { struct } from '../netlink/struct.ts';
import { type TraceNames, traced } from '../netlink/trace.ts';
import { familyNumber } from '../rtnl/family.ts';

const NETLINK_SOCK_DIAG = 4;
/** The type of both requests and answers. */
const SOCK_DIAG_BY_FAMILY = 20;
/**
 * Bits of TCP_LISTEN and TCP_CLOSE. Unconnected UDP sockets are "closed"; SCTP endpoints are "closed" or "listening".
 */
const LISTEN = 1 << 10;
const CLOSE = 1 << 7;

const PROTOCOLS = {
  tcp: { number: 6, states: LISTEN },
  udp: { number: 17, states: CLOSE },
  sctp: { number: 132, states: LISTEN | CLOSE },
} as const;

/** struct inet_diag_sockid */
const socketId = {
  sport: be16,
  dport: be16,
  src0: be32,
  src1: be32,
  src2: be32,
  src3: be32,
  dst0: be32,
  dst1: be32,
  dst2: be32,
  dst3: be32,
  interface: u32,
  cookie0: u32,
  cookie1: u32,
} as const;

/** struct inet_diag_req_v2 */
const asked = struct({ family: u8, protocol: u8, extensions: u8, pad: u8, states: u32, ...socketId });
/** struct inet_diag_msg */
const answer = struct({
  family: u8,
  state: u8,
  timer: u8,
  retransmissions: u8,
  ...socketId,
  expires: u32,
  receiveQueue: u32,
  writeQueue: u32,
  uid: u32,
  inode: u32,
});

const listenerKind = {
  name: 'listener',
  // Requests have a different header than answers.
  header: { ...answer, write: asked.write } as typeof answer & typeof asked,
  attrs: { isV6Only: [11, u8] }, // INET_DIAG_SKV6ONLY
} as const satisfies MessageKind & { readonly attrs: AttrTable };

const questionKind = { name: 'listener', header: asked, attrs: {} } as const satisfies MessageKind;

/** Message names, for the tracer. NB: a request is shorter than an answer. */
export const diagNames: TraceNames = {
  protocol: NETLINK_SOCK_DIAG,
  messageOf: (type, { byteLength }) =>
    type === SOCK_DIAG_BY_FAMILY
      ? { name: 'SOCK_DIAG_BY_FAMILY', kind: byteLength < answer.size ? questionKind : listenerKind }
      : undefined,
};

export interface Listener {
  /** The unspecified address stands for any address of its family. */
  readonly address: Ip;
  readonly port: number;
  /** An IPv6 socket that accepts IPv4 as well. */
  readonly isDual: boolean;
}

/** Opens a socket for queries about the sockets of the calling thread's network namespace. */
export function openDiag(options: SocketOptions = {}): NetlinkSocket {
  return new NetlinkSocket(NETLINK_SOCK_DIAG, traced(diagNames, options));
}

/**
 * The listeners on a port, of both families. Empty where the kernel cannot list them (no tcp_diag, udp_diag or
 * sctp_diag).
 * Equivalent to: `ss -ltn 'sport = :80'`, `ss -lun …`
 */
export function listeners(diag: NetlinkSocket, protocol: keyof typeof PROTOCOLS, port: number): Listener[] {
  try {
    return FAMILIES.flatMap((family) => diag.dump(question(protocol, family, port)).map(listenerOf)).filter(
      (each) => each.port === port,
    );
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT')) return [];
    throw error;
  }
}

function question(protocol: keyof typeof PROTOCOLS, family: 4 | 6, port: number): Request<typeof listenerKind> {
  const { number, states } = PROTOCOLS[protocol];
  return request(
    listenerKind,
    SOCK_DIAG_BY_FAMILY,
    0,
    { family: familyNumber(family), protocol: number, states, sport: port },
    {},
    {
      action: () => `list who listens on the ${protocol} port ${port}`,
      command: () => `ss -l -n --${protocol} 'sport = :${port}'`,
    },
  );
}

function listenerOf({ header, attrs }: Message<typeof listenerKind>): Listener {
  const isV4 = header.family === familyNumber(4);
  const words = [header.src0, header.src1, header.src2, header.src3];
  const bytes = new Uint8Array(isV4 ? 4 : 16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length; i += 4) view.setUint32(i, words[i / 4] ?? 0);
  return { address: Ip.of(bytes), port: header.sport, isDual: !isV4 && attrs.isV6Only === 0 };
}
