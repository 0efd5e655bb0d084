/** A conversation with one netlink family of the kernel: requests with their answers, batches, dumps, notifications. */
import { hasCode, NetloomError } from '../error.ts';
import { type Ack, NetlinkError, readAck } from './error.ts';
import {
  type Message,
  type MessageKind,
  messagesOf,
  NLM_F,
  NLMSG,
  type RawMessage,
  type Request,
  readMessage,
  writeMessage,
} from './message.ts';
import { openTransport, type Transport } from './transport.ts';
import { Writer } from './writer.ts';

/** A dump that the kernel changed under us is asked for again, so many times. */
const DUMP_TRIES = 16;

/** How many requests go out at once. Their answers wait in the socket's buffer (208 KiB), which counts about 1 KiB for each. */
const BATCH = 128;

/** Sees every datagram both ways, as it is. */
export type Tap = (direction: 'out' | 'in', datagram: Uint8Array, protocol: number) => void;

export interface SocketOptions {
  readonly tap?: Tap | undefined;
  /** For tests: what stands in for the kernel. */
  readonly transport?: Transport;
}

export class NetlinkSocket implements Disposable {
  readonly #protocol: number;
  readonly #transport: Transport;
  readonly #tap: Tap | undefined;
  readonly #out = new Writer();
  #sequence = 0;

  /** Opens a socket in the calling thread's network namespace; it stays there when the thread leaves. */
  constructor(protocol: number, options: SocketOptions = {}) {
    this.#protocol = protocol;
    this.#tap = options.tap;
    this.#transport = options.transport ?? openTransport(protocol);
  }

  /**
   * Sends one request and waits for its answer.
   * @returns what came before the acknowledgement: the object that a GET or an NLM_F_ECHO asks for
   * @throws NetlinkError
   */
  execute<K extends MessageKind>(request: Request<K>): Message<K> | undefined {
    const { reply, ack } = this.#exchange(request);
    if (ack.errno !== 0) throw new NetlinkError(request, ack);
    return reply;
  }

  /**
   * As execute(), for a GET of what may not be there.
   * @param absent the errno by which the kernel says so: no error is made of it, which costs a process that has just begun 0.2 ms
   */
  find<K extends MessageKind>(request: Request<K>, absent: number): Message<K> | undefined {
    const { reply, ack } = this.#exchange(request);
    if (ack.errno !== 0 && ack.errno !== absent) throw new NetlinkError(request, ack);
    return ack.errno === 0 ? reply : undefined;
  }

  #exchange<K extends MessageKind>(request: Request<K>): { reply: Message<K> | undefined; ack: Ack } {
    const sequence = this.#write(request, NLM_F.ACK);
    this.#flush();
    let reply: Message<K> | undefined;
    for (;;) {
      for (const raw of this.#receive()) {
        if (raw.sequence !== sequence) continue;
        if (raw.type === NLMSG.ERROR) return { reply, ack: readAck(raw) };
        reply ??= readMessage(request.kind, raw);
      }
    }
  }

  /**
   * Sends requests together and waits for all answers. The kernel carries out each whatever becomes of the others.
   * @returns the error of each request that failed, by its place in the list
   */
  attempt(requests: readonly Request[]): ReadonlyMap<number, NetlinkError> {
    const errors = new Map<number, NetlinkError>();
    for (let start = 0; start < requests.length; start += BATCH) {
      const batch = requests.slice(start, start + BATCH);
      const bySequence = new Map<number, number>();
      for (const [i, request] of batch.entries()) bySequence.set(this.#write(request, NLM_F.ACK), start + i);
      this.#flush();
      while (bySequence.size > 0) {
        for (const raw of this.#receive()) {
          const index = bySequence.get(raw.sequence);
          const request = index === undefined ? undefined : requests[index];
          if (raw.type !== NLMSG.ERROR || index === undefined || request === undefined) continue;
          bySequence.delete(raw.sequence);
          const ack = readAck(raw);
          if (ack.errno !== 0) errors.set(index, new NetlinkError(request, ack));
        }
      }
    }
    return errors;
  }

  /** As attempt(), but throws the first error. NB: what came after the failed request was carried out all the same. */
  executeAll(requests: readonly Request[]): void {
    const errors = this.attempt(requests);
    if (errors.size > 0) throw errors.get(Math.min(...errors.keys()));
  }

  /**
   * All objects that a request asks for. Asked again where they changed meanwhile (NLM_F_DUMP_INTR).
   * @throws NetlinkError
   */
  dump<K extends MessageKind>(request: Request<K>): Message<K>[] {
    for (let i = 0; i < DUMP_TRIES; i++) {
      const messages = this.#dumpOnce(request);
      if (messages !== undefined) return messages;
    }
    throw new NetloomError('EINTR', `Cannot ${request.action}: it changed while it was read, ${DUMP_TRIES} times`);
  }

  #dumpOnce<K extends MessageKind>(request: Request<K>): Message<K>[] | undefined {
    const messages: Message<K>[] = [];
    const sequence = this.#write(request, NLM_F.DUMP);
    this.#flush();
    let isWhole = true;
    for (;;) {
      for (const raw of this.#receive()) {
        if (raw.sequence !== sequence) continue;
        if ((raw.flags & NLM_F.DUMP_INTR) !== 0) isWhole = false;
        if (raw.type === NLMSG.ERROR || raw.type === NLMSG.DONE) {
          const ack: Ack = raw.type === NLMSG.ERROR ? readAck(raw) : doneAck(raw);
          if (ack.errno !== 0) throw new NetlinkError(request, ack);
          return isWhole ? messages : undefined;
        }
        messages.push(readMessage(request.kind, raw));
      }
    }
  }

  /**
   * Sends requests as one datagram, between whatever `wrap` writes before and after them, and collects every answer that is there when
   * the kernel has worked through it (rtnetlink and nfnetlink do so before send returns).
   * For protocols with transactions of their own.
   */
  transact(
    requests: readonly Request[],
    flagsOf: (index: number) => number,
    wrap: { before(out: Writer, sequence: number): void; after(out: Writer, sequence: number): void },
  ): { readonly errors: ReadonlyMap<number, Ack>; readonly answers: readonly RawMessage[] } {
    this.#sequence++;
    wrap.before(this.#out, this.#sequence);
    const first = this.#sequence + 1;
    for (const [i, request] of requests.entries()) this.#write(request, flagsOf(i));
    this.#sequence++;
    wrap.after(this.#out, this.#sequence);
    this.#flush();
    const errors = new Map<number, Ack>();
    const answers: RawMessage[] = [];
    for (;;) {
      const datagram = this.#answer();
      if (datagram === undefined) return { errors, answers };
      this.#tap?.('in', datagram, this.#protocol);
      for (const raw of messagesOf(datagram.slice())) {
        if (raw.type !== NLMSG.ERROR) {
          answers.push(raw);
          continue;
        }
        const ack = readAck(raw);
        if (ack.errno !== 0 && !errors.has(raw.sequence - first)) errors.set(raw.sequence - first, ack);
      }
    }
  }

  /** Hears a multicast group from now on; what it tells comes out of next(). */
  join(group: number): void {
    this.#transport.join(group);
  }

  /** The notifications that arrive within so many milliseconds: those of the first datagram, or none. */
  next(milliseconds: number): RawMessage[] {
    if (!this.#transport.poll(milliseconds)) return [];
    const datagram = this.#transport.receive(false);
    if (datagram === undefined) return [];
    this.#tap?.('in', datagram, this.#protocol);
    return [...messagesOf(datagram.slice())];
  }

  close(): void {
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What the kernel has answered so far. Where it had more than the socket holds, the first of it are still there, and suffice. */
  #answer(): Uint8Array | undefined {
    try {
      return this.#transport.receive(false);
    } catch (error) {
      if (!hasCode(error, 'ENOBUFS')) throw error;
      return this.#transport.receive(false);
    }
  }

  #write(request: Request, flags: number): number {
    this.#sequence++;
    try {
      writeMessage(this.#out, request.type, request.flags | flags | NLM_F.REQUEST, this.#sequence, (out) =>
        request.write(out),
      );
    } catch (error) {
      // A value that cannot be written must not leave half a message for the next call to send.
      this.#out.clear();
      throw error;
    }
    return this.#sequence;
  }

  #flush(): void {
    const datagram = this.#out.bytes;
    this.#out.clear();
    this.#tap?.('out', datagram, this.#protocol);
    this.#transport.send(datagram);
  }

  *#receive(): Generator<RawMessage> {
    const datagram = this.#transport.receive(true);
    if (datagram === undefined) return;
    this.#tap?.('in', datagram, this.#protocol);
    yield* messagesOf(datagram);
  }
}

/** NLMSG_DONE carries an errno of its own since 4.20, and ext ack attributes since 6.x. */
function doneAck(raw: RawMessage): Ack {
  const errno = raw.payload.byteLength >= 4 ? -raw.payload.getInt32(0, true) : 0;
  return { errno: Math.max(errno, 0), sentence: undefined, offset: undefined };
}
