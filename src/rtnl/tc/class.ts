/** Classes of a hierarchy of token buckets, each with a rate of its own. man 8 tc-htb. */
import { nest, readAttrs } from '../../netlink/attribute.ts';
import { type Message, NLM_F, type Request, request } from '../../netlink/message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { RTM } from '../constants.ts';
import { htb } from './kinds.ts';
import { classKind, handleText, tcKind } from './message.ts';
import { viewOf } from './qdisc.ts';
import { isWide, rateFields, sizeOf, ticksOf } from './rate.ts';

const htbClassKind = tcKind('class', { options: [2, nest(htb)] });

/**
 * Bytes that a class sends before it is another's turn. Classes here do not borrow, so any size that holds a packet
 * will do.
 */
const QUANTUM = 60_000;

export interface ClassSpec {
  readonly link: number;
  /** The handle of the discipline that it belongs to. */
  readonly parent: number;
  readonly handle: number;
  /** Bytes per second: the guaranteed rate and the ceiling. */
  readonly rate: bigint;
  /** Bytes that may leave at once; at most what takes 274 s to send. */
  readonly burst: number;
}

/**
 * Adds a class.
 * Equivalent to: `tc class add dev LINK parent 1: classid 1:30 htb rate 20mbit burst 32kb`
 * @throws NetlinkError EEXIST when the handle is taken, ENOENT when there is no such discipline
 */
export function add({ link, parent, handle, rate, burst }: ClassSpec): Request {
  const { linklayer, rate: low } = rateFields(rate);
  const ticks = ticksOf(burst, rate);
  const wide = isWide(rate) ? { rate64: rate, ceil64: rate } : {};
  return request(
    htbClassKind,
    RTM.NEWTCLASS,
    NLM_F.CREATE | NLM_F.EXCL,
    { index: link, handle, parent },
    {
      kind: 'htb',
      options: {
        parms: {
          linklayer,
          rate: low,
          linklayer2: linklayer,
          rate2: low,
          buffer: ticks,
          cbuffer: ticks,
          quantum: QUANTUM,
        },
        ...wide,
      },
    },
    {
      action: () => `limit the class ${handleText(handle)} of the link with index ${link} to ${rate} bytes a second`,
      command: () =>
        `tc class add dev if${link} parent ${handleText(parent)} classid ${handleText(handle)} htb rate ${rate}bps burst ${burst} cburst ${burst} quantum ${QUANTUM}`,
    },
  );
}

/** The classes of a link. Equivalent to: `tc class show dev LINK` */
export function list(nl: NetlinkSocket, link: number): ClassSpec[] {
  const all = request(
    classKind,
    RTM.GETTCLASS,
    0,
    { index: link },
    {},
    {
      action: () => `list the classes of the link with index ${link}`,
      command: () => `tc class show dev if${link}`,
    },
  );
  return nl.dump(all).map(classOf);
}

/** NB: the kernel reports the root as the parent of a class that has none. */
function classOf({ header, attrs }: Message<typeof classKind>): ClassSpec {
  const { parms = {}, rate64 } = attrs.kind === 'htb' ? readAttrs(htb, viewOf(attrs.options)) : {};
  const rate = rate64 ?? BigInt(parms.rate ?? 0);
  const burst = sizeOf(parms.buffer ?? 0, rate);
  return { link: header.index, parent: header.parent, handle: header.handle, rate, burst };
}
