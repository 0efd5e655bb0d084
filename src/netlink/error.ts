/** The kernel's answer to a request that it refuses: an errno and, with NETLINK_EXT_ACK, a message and an offset. */
import { NetloomError } from '../error.ts';
import { errnoName, errnoSentence } from '../ffi/errno.ts';
import { type AttrTable, attrName, attrNameAt, malformed, readAttrs } from './attribute.ts';
import { bytes, str, u32 } from './codec.ts';
import { NLMSG_HEADER, type RawMessage, type Request, viewFrom } from './message.ts';
import { Writer } from './writer.ts';

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

/** NLMSGERR_ATTR_*. linux/netlink.h. */
const extAck = {
  message: [1, str],
  offset: [2, u32],
  cookie: [3, bytes],
  missingType: [5, u32],
} as const satisfies AttrTable;

/** The answer to one request. errno 0 is success, which may carry a warning. */
export interface Ack {
  readonly errno: number;
  /** The kernel's message. */
  readonly sentence: string | undefined;
  /** Offset of the fault in the request, from the start of its nlmsghdr. */
  readonly offset: number | undefined;
  /** The number of a required attribute that the request lacks. */
  readonly missing?: number | undefined;
}

/**
 * Reads NLMSG_ERROR: s32 errno, the request's nlmsghdr, its body unless capped, then the attributes above.
 * @throws NetloomError malformed-message
 */
export function readAck(raw: RawMessage): Ack {
  const { payload } = raw;
  if (payload.byteLength < 4 + NLMSG_HEADER) {
    throw malformed(`an acknowledgement has ${4 + NLMSG_HEADER} bytes, ${payload.byteLength} are there`);
  }
  const isCapped = (raw.flags & NLM_F_CAPPED) !== 0;
  const echoed = isCapped ? NLMSG_HEADER : payload.getUint32(4, true);
  return ackOf(raw, 4 + Math.ceil(echoed / 4) * 4);
}

/** Reads NLMSG_DONE, the end of a dump: s32 errno (since 4.20), then the attributes above. */
export function readDone(raw: RawMessage): Ack {
  return raw.payload.byteLength < 4 ? { errno: 0, sentence: undefined, offset: undefined } : ackOf(raw, 4);
}

function ackOf({ flags, payload }: RawMessage, start: number): Ack {
  // A DONE may carry a positive number, the length of the last part: that is not an error.
  const errno = Math.max(0 - payload.getInt32(0, true), 0);
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, sentence: undefined, offset: undefined };
  if (start > payload.byteLength) {
    throw malformed(`an acknowledgement's attributes begin at byte ${start}, ${payload.byteLength} are there`);
  }
  const { message, offset, missingType } = readAttrs(extAck, viewFrom(payload, start));
  return { errno, sentence: message, offset, missing: missingType };
}

let count: ((errno: number) => void) | undefined;

/**
 * From now on calls back for every refusal on this thread, so that they can be counted; also for those that are
 * expected and handled silently.
 */
export function countRefusals(by: (errno: number) => void): void {
  count = by;
}

/** A request that the kernel refused. `code` is the errno's name. */
export class NetlinkError extends NetloomError {
  override readonly name = 'NetlinkError';
  readonly errno: number;
  readonly request: Request;

  constructor(request: Request, ack: Ack) {
    const reason = ack.sentence ?? errnoSentence(ack.errno);
    super(errnoName(ack.errno), `Cannot ${request.action}: ${errnoName(ack.errno)}, ${reason}`, {
      details: [`equivalent command: ${request.command}`, place(request, ack), absence(request, ack)]
        .filter(Boolean)
        .join('; '),
    });
    this.errno = ack.errno;
    count?.(ack.errno);
    this.request = request;
  }
}

function place(request: Request, { offset }: Ack): string | undefined {
  if (offset === undefined) return undefined;
  const body = new Writer();
  request.write(body);
  const start = request.kind.header.size;
  const view = new DataView(body.bytes.slice(start).buffer);
  const name = attrNameAt(request.kind.attrs, view, offset - NLMSG_HEADER - start);
  return name === undefined ? undefined : `the kernel points at the attribute "${name}"`;
}

function absence(request: Request, { missing }: Ack): string | undefined {
  return missing === undefined
    ? undefined
    : `the kernel misses the attribute "${attrName(request.kind.attrs, missing)}"`;
}
