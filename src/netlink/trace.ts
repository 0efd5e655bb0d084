/**
 * Prints the conversation with the kernel: a tap that writes each message as one line.
 *
 *     netlink -> RTM_NEWADDR request ack excl create #3 address {family: 2, prefix: 24, index: 7} {local: 10.1.0.2, address: 10.1.0.2}
 *     netlink <- NLMSG_ERROR #3 EEXIST, Address already assigned
 */
import { messageOf } from '../error.ts';
import { errnoName, errnoSentence } from '../ffi/errno.ts';
import { printLine } from '../ffi/print.ts';
import { type Ack, readAck, readDone } from './error.ts';
import { type MessageKind, messagesOf, NLM_F, NLMSG, type RawMessage, readMessage } from './message.ts';
import type { SocketOptions, Tap } from './socket.ts';

/** The names and kinds of a protocol's messages. */
export interface TraceNames {
  /** NETLINK_*. */
  readonly protocol: number;
  /**
   * The name and kind of a message by its nlmsg_type, and by its payload where one type has several. Undefined for an
   * unknown type.
   */
  messageOf(type: number, payload: DataView): { readonly name: string; readonly kind: MessageKind } | undefined;
}

/**
 * Adds a tap that prints every message on stderr where NETLOOM_TRACE=netlink is set, unless the options have a tap of
 * their own.
 */
export function traced(names: TraceNames, options: SocketOptions): SocketOptions {
  const isPrinted = options.tap === undefined && isTraced(process.env['NETLOOM_TRACE']);
  return isPrinted ? { ...options, tap: tracer([names], printLine) } : options;
}

/** Whether NETLOOM_TRACE, a comma-separated list, contains `netlink`. */
export function isTraced(setting: string | undefined): boolean {
  return setting?.split(',').includes('netlink') === true;
}

/** A tap that prints every message of the protocols in `names`, and the type and length of any other message. */
export function tracer(names: readonly TraceNames[], print: (line: string) => void): Tap {
  return (direction, datagram, protocol) => {
    const arrow = direction === 'out' ? '->' : '<-';
    const own = names.find((each) => each.protocol === protocol);
    try {
      for (const raw of messagesOf(datagram)) print(`netlink ${arrow} ${lineOf(own, raw)}`);
    } catch (error) {
      print(`netlink ${arrow} ${datagram.length} bytes: ${messageOf(error)}`);
    }
  };
}

function lineOf(names: TraceNames | undefined, raw: RawMessage): string {
  const number = `#${raw.sequence}`;
  if (raw.type === NLMSG.ERROR) return `NLMSG_ERROR ${number} ${ackText(readAck(raw))}`;
  if (raw.type === NLMSG.DONE) return `NLMSG_DONE ${number} ${ackText(readDone(raw))}`;
  const known = names?.messageOf(raw.type, raw.payload);
  const name = known?.name ?? `message ${raw.type}`;
  const start = [name, ...flagNames(raw.flags, name), number].join(' ');
  if (known === undefined) return `${start} ${raw.payload.byteLength} bytes`;
  try {
    const { header, attrs } = readMessage(known.kind, raw);
    const set = Object.entries(header).filter(([, value]) => value !== 0);
    return `${start} ${known.kind.name} ${text(Object.fromEntries(set))} ${text(attrs)}`;
  } catch (error) {
    return `${start} ${raw.payload.byteLength} bytes: ${messageOf(error)}`;
  }
}

function ackText({ errno, sentence, offset }: Ack): string {
  const reason = errno === 0 ? 'ok' : errnoName(errno);
  const words = sentence ?? (errno === 0 ? undefined : errnoSentence(errno));
  return `${reason}${words === undefined ? '' : `, ${words}`}${offset === undefined ? '' : `, at byte ${offset}`}`;
}

/** NB: the bits from 0x100 up mean one thing in a GET, which SOCK_DIAG messages are, and another in a NEW. */
function flagNames(flags: number, name: string): string[] {
  const isGet = name.includes('GET') || name.startsWith('SOCK_DIAG');
  const bits: [string, number][] = [
    ['request', NLM_F.REQUEST],
    ['multi', NLM_F.MULTI],
    ['ack', NLM_F.ACK],
    ['echo', NLM_F.ECHO],
    ['interrupted', NLM_F.DUMP_INTR],
    ...(isGet
      ? ([['dump', NLM_F.DUMP]] satisfies [string, number][])
      : ([
          ['replace', NLM_F.REPLACE],
          ['excl', NLM_F.EXCL],
          ['create', NLM_F.CREATE],
          ['append', NLM_F.APPEND],
        ] satisfies [string, number][])),
  ];
  return bits.filter(([, bit]) => (flags & bit) === bit).map(([word]) => word);
}

/**
 * A value on one line: objects as names and values, bytes in hexadecimal, objects with a toString() of their own as
 * that.
 */
function text(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Uint8Array)
    return `0x${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  if (Array.isArray(value)) return `[${value.map(text).join(', ')}]`;
  if (typeof value !== 'object' || value === null || hasOwnText(value)) return String(value);
  return `{${Object.entries(value)
    .map(([name, each]) => `${name}: ${text(each)}`)
    .join(', ')}}`;
}

function hasOwnText(value: object): boolean {
  return value.toString !== Object.prototype.toString;
}
