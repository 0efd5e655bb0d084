/**
 * Netlink messages: struct nlmsghdr of linux/netlink.h (u32 length, u16 type, u16 flags, u32 sequence, u32 port), a
 * fixed header, attributes.
 */
import { type Attrs, type AttrTable, malformed, readAttrs, writeAttrs } from './attribute.ts';
import type { Fields, Struct, StructOf } from './struct.ts';
import type { Writer } from './writer.ts';

export const NLMSG_HEADER = 16;

export const NLM_F = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  ECHO: 0x8,
  DUMP_INTR: 0x10,
  /** GET: all entries. */
  DUMP: 0x300,
  /** NEW: replace an existing object, refuse if it exists, create if it does not, append. */
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
} as const;

export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

/** One kind of message: its fixed header and its attributes, such as ifinfomsg with IFLA_*. */
export interface MessageKind<F extends Fields = Fields, T extends AttrTable = AttrTable> {
  readonly name: string;
  readonly header: Struct<F>;
  readonly attrs: T;
}

/** A decoded message: header and attributes. */
export interface Message<K extends MessageKind> {
  readonly type: number;
  readonly header: { readonly [F in keyof K['header']['fields']]: number };
  readonly attrs: Attrs<K['attrs']>;
}

/**
 * A message to the kernel, as a value: the socket sends it, `explain` prints its command, an error message names its
 * action.
 */
export interface Request<K extends MessageKind = MessageKind> {
  readonly kind: K;
  readonly type: number;
  /** NLM_F_* beyond REQUEST and ACK. */
  readonly flags: number;
  /** Completes `Cannot …`: `add address 10.1.0.2/24 to "eth0"`. */
  readonly action: string;
  /** The equivalent command of iproute2 or nft. */
  readonly command: string;
  /** Writes header and attributes. */
  write(out: Writer): void;
}

/** Builds a request. The two texts are functions because only failures and `explain` read them. */
export function request<K extends MessageKind>(
  kind: K,
  type: number,
  flags: number,
  header: StructOf<K['header']['fields']>,
  attrs: Attrs<K['attrs']>,
  texts: { action(): string; command(): string },
): Request<K> {
  return {
    kind,
    type,
    flags,
    get action() {
      return texts.action();
    },
    get command() {
      return texts.command();
    },
    write(out) {
      kind.header.write(out, header);
      writeAttrs(out, kind.attrs, attrs);
    },
  };
}

/** Appends a whole message with its nlmsghdr. */
export function writeMessage(
  out: Writer,
  type: number,
  flags: number,
  sequence: number,
  body: (out: Writer) => void,
): void {
  const start = out.length;
  out.u32(0);
  out.u16(type);
  out.u16(flags);
  out.u32(sequence);
  out.u32(0);
  body(out);
  out.patch32(start, out.length - start);
  out.align();
}

/** A message as it lies in a datagram. */
export interface RawMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: DataView;
}

/**
 * The messages of a datagram.
 * @throws NetloomError malformed-message where a message runs past the end of the datagram, so that no caller waits for
 * an answer that was cut off
 */
export function messagesOf(datagram: Uint8Array): RawMessage[] {
  const messages: RawMessage[] = [];
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  for (let at = 0; at < view.byteLength; ) {
    const left = view.byteLength - at;
    if (left < NLMSG_HEADER) throw malformed(`${left} bytes are left at offset ${at}, a header has ${NLMSG_HEADER}`);
    const length = view.getUint32(at, true);
    if (length < NLMSG_HEADER || length > left) {
      throw malformed(`the message at offset ${at} says that it has ${length} bytes, ${left} are left`);
    }
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      payload: new DataView(view.buffer, view.byteOffset + at + NLMSG_HEADER, length - NLMSG_HEADER),
    });
    at += (length + 3) & ~3;
  }
  return messages;
}

/** Reads a message by its kind. @throws NetloomError malformed-message */
export function readMessage<K extends MessageKind>(kind: K, raw: RawMessage): Message<K> {
  const header = kind.header.read(raw.payload) as Message<K>['header'];
  return { type: raw.type, header, attrs: readAttrs<K['attrs']>(kind.attrs, viewFrom(raw.payload, kind.header.size)) };
}

/** The part of a view after its first `start` bytes, which it must have. */
export function viewFrom(view: DataView, start: number): DataView {
  return new DataView(view.buffer, view.byteOffset + start, view.byteLength - start);
}
