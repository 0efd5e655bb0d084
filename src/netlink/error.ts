/** What the kernel answers to a request that it refuses: an errno and, by NETLINK_EXT_ACK, a sentence and a place. */
import { NetloomError } from '../error.ts';
import { errnoName, errnoSentence } from '../ffi/errno.ts';
import { type AttrTable, attrNameAt, readAttrs } from './attribute.ts';
import { bytes, str, u32 } from './codec.ts';
import { NLMSG_HEADER, type RawMessage, type Request } from './message.ts';
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
  readonly sentence: string | undefined;
  readonly offset: number | undefined;
}

/** Reads NLMSG_ERROR: s32 errno, the request's nlmsghdr, its body unless capped, then the attributes above. */
export function readAck(raw: RawMessage): Ack {
  const { payload } = raw;
  const errno = -payload.getInt32(0, true);
  if ((raw.flags & NLM_F_ACK_TLVS) === 0) return { errno, sentence: undefined, offset: undefined };
  const echoed = (raw.flags & NLM_F_CAPPED) !== 0 ? NLMSG_HEADER : payload.getUint32(4, true);
  const start = 4 + ((echoed + 3) & ~3);
  const attrs = readAttrs(extAck, new DataView(payload.buffer, payload.byteOffset + start, payload.byteLength - start));
  return { errno, sentence: attrs.message, offset: attrs.offset };
}

/** A request that the kernel refused. `code` is the errno's name. */
export class NetlinkError extends NetloomError {
  override readonly name = 'NetlinkError';
  readonly errno: number;
  readonly request: Request;

  constructor(request: Request, ack: Ack) {
    const reason = ack.sentence ?? errnoSentence(ack.errno);
    super(errnoName(ack.errno), `Cannot ${request.action}: ${errnoName(ack.errno)}, ${reason}`, {
      details: [`equivalent command: ${request.command}`, attributeSentence(request, ack.offset)]
        .filter(Boolean)
        .join('; '),
    });
    this.errno = ack.errno;
    this.request = request;
  }
}

function attributeSentence(request: Request, offset: number | undefined): string | undefined {
  if (offset === undefined) return undefined;
  const body = new Writer();
  request.write(body);
  const start = request.kind.header.size;
  const view = new DataView(body.bytes.slice(start).buffer);
  const name = attrNameAt(request.kind.attrs, view, offset - NLMSG_HEADER - start);
  return name === undefined ? undefined : `the kernel points at the attribute "${name}"`;
}
