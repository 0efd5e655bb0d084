/** Queueing disciplines: in what order, and how fast, packets leave a link. man 8 tc. */
import { ERRNO } from '../../ffi/errno.ts';
import { type Attrs, nest, readAttrs } from '../../netlink/attribute.ts';
import { type Message, NLM_F, type Request, request } from '../../netlink/message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { RTM } from '../constants.ts';
import { htb, tbf } from './kinds.ts';
import { handleText, INGRESS_HANDLE, qdiscKind, TC_H, tcKind } from './message.ts';
import { isWide, rateFields, sizeOf } from './rate.ts';

/** The version of the interface that sch_htb expects (HTB_VER >> 16). */
const HTB_VERSION = 3;

const tbfKind = tcKind('queueing discipline', { options: [2, nest(tbf)] });
const htbKind = tcKind('queueing discipline', { options: [2, nest(htb)] });
const bareKind = tcKind('queueing discipline', {});

/** A token bucket: limits what leaves the link to a rate, with a burst and a limited queue. */
export interface TokenBucket {
  /** Bytes a second. */
  readonly rate: bigint;
  /** Bytes that may leave at once. */
  readonly burst: number;
  /** Bytes that may wait; any more are dropped. */
  readonly limit: number;
}

/** A queueing discipline as the kernel describes it. */
export interface Qdisc {
  readonly link: number;
  readonly handle: number;
  readonly parent: number;
  readonly kind: string;
  /** Of a tbf. NB: the burst is computed from a time in units of 64 ns, modulo 274 s. */
  readonly tbf?: TokenBucket;
  /** Of an htb: the minor number of the class for packets that no filter classifies. */
  readonly defaultClass?: number;
}

/**
 * Puts a token bucket at a link's root.
 * Equivalent to: `tc qdisc add dev LINK root handle 1: tbf rate 20mbit burst 32kb limit 96kb`
 * @throws NetlinkError EEXIST when there is one already
 */
export function addTokenBucket(link: number, handle: number, { rate, burst, limit }: TokenBucket): Request {
  return request(
    tbfKind,
    RTM.NEWQDISC,
    NLM_F.CREATE | NLM_F.EXCL,
    { index: link, handle, parent: TC_H.ROOT },
    {
      kind: 'tbf',
      options: { parms: { ...rateFields(rate), limit }, burst, ...(isWide(rate) && { rate64: rate }) },
    },
    {
      action: () => `limit what leaves the link with index ${link} to ${rate} bytes a second`,
      command: () =>
        `tc qdisc add dev if${link} root handle ${handleText(handle)} tbf rate ${rate}bps burst ${burst} limit ${limit}`,
    },
  );
}

/**
 * Puts a hierarchy of token buckets at a link's root. Add its classes afterwards.
 * Equivalent to: `tc qdisc add dev LINK root handle 1: htb default 30`
 * @throws NetlinkError EEXIST when there is one already
 */
export function addHierarchy(link: number, handle: number, defaultClass: number): Request {
  return request(
    htbKind,
    RTM.NEWQDISC,
    NLM_F.CREATE | NLM_F.EXCL,
    { index: link, handle, parent: TC_H.ROOT },
    { kind: 'htb', options: { init: { version: HTB_VERSION, rate2quantum: 10, defaultClass } } },
    {
      action: () => `make classes of what leaves the link with index ${link}`,
      command: () =>
        `tc qdisc add dev if${link} root handle ${handleText(handle)} htb default ${defaultClass.toString(16)}`,
    },
  );
}

/**
 * Adds the discipline that filters for incoming packets attach to.
 * Equivalent to: `tc qdisc add dev LINK ingress`
 * @throws NetlinkError EEXIST when there is one already
 */
export function addIngress(link: number): Request {
  return request(
    bareKind,
    RTM.NEWQDISC,
    NLM_F.CREATE | NLM_F.EXCL,
    { index: link, handle: INGRESS_HANDLE, parent: TC_H.INGRESS },
    { kind: 'ingress' },
    {
      action: () => `filter what comes in by the link with index ${link}`,
      command: () => `tc qdisc add dev if${link} ingress`,
    },
  );
}

/**
 * Removes the discipline at a link's root or ingress, with its classes and filters.
 * Equivalent to: `tc qdisc del dev LINK root`
 * @throws NetlinkError ENOENT when there is only the kernel's own, EINVAL when there is none at ingress
 */
export function remove(link: number, parent: typeof TC_H.ROOT | typeof TC_H.INGRESS): Request {
  return request(
    bareKind,
    RTM.DELQDISC,
    0,
    { index: link, parent },
    {},
    {
      action: () => `remove the queueing discipline at ${handleText(parent)} of the link with index ${link}`,
      command: () => `tc qdisc del dev if${link} ${handleText(parent)}`,
    },
  );
}

/**
 * The discipline at a link's root or ingress. Undefined where there is none, or no such link.
 * Equivalent to: `tc qdisc show dev LINK`
 */
export function find(nl: NetlinkSocket, link: number, parent: number): Qdisc | undefined {
  // NB: the kernel answers with a notification, and sends it to the requester only with NLM_F_ECHO (qdisc_notify()).
  const looking = request(
    qdiscKind,
    RTM.GETQDISC,
    NLM_F.ECHO,
    { index: link, parent },
    {},
    {
      action: () => `look up the queueing discipline at ${handleText(parent)} of the link with index ${link}`,
      command: () => `tc qdisc show dev if${link} ${handleText(parent)}`,
    },
  );
  const message = nl.find(looking, ERRNO.ENOENT);
  return message && qdiscOf(message);
}

function qdiscOf({ header, attrs }: Message<typeof qdiscKind>): Qdisc {
  const { index, handle, parent } = header;
  const kind = attrs.kind ?? '';
  const options = viewOf(attrs.options);
  return {
    link: index,
    handle,
    parent,
    kind,
    ...(kind === 'tbf' && { tbf: bucketOf(readAttrs(tbf, options)) }),
    ...(kind === 'htb' && { defaultClass: readAttrs(htb, options).init?.defaultClass ?? 0 }),
  };
}

function bucketOf({ parms = {}, rate64 }: Attrs<typeof tbf>): TokenBucket {
  const rate = rate64 ?? BigInt(parms.rate ?? 0);
  return { rate, burst: sizeOf(parms.buffer ?? 0, rate), limit: parms.limit ?? 0 };
}

/** Options as a view; an empty one where there are none. */
export function viewOf(options: Uint8Array | undefined): DataView {
  return options === undefined
    ? new DataView(new ArrayBuffer(0))
    : new DataView(options.buffer, options.byteOffset, options.byteLength);
}
