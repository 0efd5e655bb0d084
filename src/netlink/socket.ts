/** A conversation with one netlink family of the kernel: requests with their answers, batches, dumps, notifications. */
import { isHeard, tell } from '../deed.ts';
import { hasCode, NetloomError } from '../error.ts';
import { netnsIdAt, OWN_NETNS } from '../netns/namespace.ts';
import { bytesOf } from './codec.ts';
import { type Ack, NetlinkError, readAck, readDone } from './error.ts';
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

const NETLINK_ROUTE = 0;
/** The place of RTM_GETx in its group of four. linux/rtnetlink.h */
const GET = 2;

/** How many times a dump is tried that is interrupted by changes. */
const DUMP_TRIES = 16;

/**
 * How many requests go out at once. Their answers wait in the socket's buffer (208 KiB), which counts about 1 KiB for
 * each.
 */
const BATCH = 128;

/**
 * How many notifications wait for next() while answers are read. A listener that falls further behind is told that some
 * were lost.
 */
const HEARD_MAX = 4096;

/** Sees every datagram in both directions, undecoded. */
export type Tap = (direction: 'out' | 'in', datagram: Uint8Array, protocol: number) => void;

export interface SocketOptions {
  readonly tap?: Tap | undefined;
  /** For tests: takes the kernel's place. */
  readonly transport?: Transport;
}

export class NetlinkSocket implements Disposable {
  readonly #protocol: number;
  readonly #transport: Transport;
  readonly #tap: Tap | undefined;
  readonly #out = new Writer();
  /** The namespace that it was opened in; only set where somebody listens (deed.ts). */
  readonly #netns: string | undefined;
  #sequence = 0;
  #isListening = false;
  /** Notifications that came while an answer was awaited. */
  #heard: RawMessage[] = [];
  /** Whether the socket has overflowed since the last request. */
  #wasOverrun = false;

  /** Opens a socket in the calling thread's network namespace; it stays there when the thread leaves. */
  constructor(protocol: number, options: SocketOptions = {}) {
    this.#protocol = protocol;
    this.#tap = options.tap;
    this.#transport = options.transport ?? openTransport(protocol);
    this.#netns = isHeard() ? netnsIdAt(OWN_NETNS) : undefined;
  }

  /**
   * Sends one request and waits for its answer.
   * @returns the object that a GET or NLM_F_ECHO asks for, which comes before the acknowledgement
   * @throws NetlinkError
   */
  execute<K extends MessageKind>(request: Request<K>): Message<K> | undefined {
    const { reply, ack } = this.#exchange(request);
    if (ack.errno !== 0) throw new NetlinkError(request, ack);
    if (this.#protocol === NETLINK_ROUTE) this.#tell([request]);
    return reply;
  }

  /**
   * As execute(), for a GET of an object that may not exist.
   * @param absent the errno that says so. It becomes no error object: that would cost a process that has just started
   * 0.2 ms
   */
  find<K extends MessageKind>(request: Request<K>, absent: number): Message<K> | undefined {
    const { reply, ack } = this.#exchange(request);
    if (ack.errno !== 0 && ack.errno !== absent) throw new NetlinkError(request, ack);
    return ack.errno === 0 ? reply : undefined;
  }

  #exchange<K extends MessageKind>(request: Request<K>): { reply: Message<K> | undefined; ack: Ack } {
    this.#begin(1);
    const sequence = this.#write(request, request.flags | NLM_F.ACK);
    this.#flush();
    let reply: Message<K> | undefined;
    for (;;) {
      for (const raw of this.#receive()) {
        if (raw.sequence !== sequence) {
          this.#hear(raw);
          continue;
        }
        if (raw.type === NLMSG.ERROR) return { reply, ack: readAck(raw) };
        reply ??= readMessage(request.kind, raw);
      }
    }
  }

  /**
   * Sends requests together and waits for their outcome. The kernel carries them out in order, goes on after a failure,
   * and reports each failure (netlink_rcv_skb()). So the acknowledgement of the last request of a batch comes last, and
   * only that one is requested: 15,000 answers would be 15,000 reads.
   * @returns the error of each request that failed, by its place in the list
   */
  attempt(requests: readonly Request[]): ReadonlyMap<number, NetlinkError> {
    const errors = new Map<number, NetlinkError>();
    for (let start = 0; start < requests.length; start += BATCH) {
      const batch = requests.slice(start, start + BATCH);
      this.#begin(batch.length);
      const first = this.#sequence + 1;
      for (const [i, request] of batch.entries()) {
        const isLast = i === batch.length - 1;
        // NB: without echoes: nothing reads them here, and the socket could not hold them.
        this.#write(request, (request.flags & ~NLM_F.ECHO) | (isLast ? NLM_F.ACK : 0));
      }
      this.#flush();
      for (let isDone = false; !isDone; ) {
        for (const raw of this.#receive()) {
          const place = raw.sequence - first;
          const request = batch[place];
          if (raw.type !== NLMSG.ERROR || request === undefined) {
            if (request === undefined) this.#hear(raw);
            continue;
          }
          const ack = readAck(raw);
          if (ack.errno !== 0) errors.set(start + place, new NetlinkError(request, ack));
          if (place === batch.length - 1) isDone = true;
        }
      }
    }
    if (this.#protocol === NETLINK_ROUTE && isHeard())
      for (const [i, request] of requests.entries()) if (!errors.has(i)) this.#tell([request]);
    return errors;
  }

  /** As attempt(), but throws the first error. NB: the requests after the failed one were carried out all the same. */
  executeAll(requests: readonly Request[]): void {
    const errors = this.attempt(requests);
    if (errors.size > 0) throw errors.get(Math.min(...errors.keys()));
  }

  /**
   * All objects that a request asks for. Repeated where they changed meanwhile (NLM_F_DUMP_INTR).
   * @throws NetlinkError
   */
  dump<K extends MessageKind>(request: Request<K>): Message<K>[] {
    return this.dumpAs(request, (message) => [message]);
  }

  /**
   * As dump(), but keeps only what `read` returns for each message: thousands of messages are megabytes.
   * @throws NetlinkError; what `read` throws
   */
  dumpAs<K extends MessageKind, T>(request: Request<K>, read: (message: Message<K>) => readonly T[]): T[] {
    for (let i = 0; i < DUMP_TRIES; i++) {
      const found = this.#dumpOnce(request, read);
      if (found !== undefined) return found;
    }
    throw new NetloomError('EINTR', `Cannot ${request.action}: it changed while it was read, ${DUMP_TRIES} times`);
  }

  #dumpOnce<K extends MessageKind, T>(
    request: Request<K>,
    read: (message: Message<K>) => readonly T[],
  ): T[] | undefined {
    const found: T[] = [];
    this.#begin(1);
    const sequence = this.#write(request, request.flags | NLM_F.DUMP);
    this.#flush();
    let isWhole = true;
    let failure: { readonly error: unknown } | undefined;
    for (;;) {
      for (const raw of this.#receive()) {
        if (raw.sequence !== sequence) {
          this.#hear(raw);
          continue;
        }
        if ((raw.flags & NLM_F.DUMP_INTR) !== 0) isWhole = false;
        if (raw.type === NLMSG.ERROR || raw.type === NLMSG.DONE) {
          const ack = raw.type === NLMSG.ERROR ? readAck(raw) : readDone(raw);
          if (ack.errno !== 0) throw new NetlinkError(request, ack);
          if (failure !== undefined) throw failure.error;
          return isWhole ? found : undefined;
        }
        try {
          found.push(...read(readMessage(request.kind, raw)));
        } catch (error) {
          // NB: read to the end all the same. Until then the kernel refuses another dump on this socket (EBUSY).
          failure ??= { error };
        }
      }
    }
  }

  /**
   * Sends requests as one datagram, between what `wrap` writes before and after them, and collects every answer that is
   * there once the kernel has processed it (rtnetlink and nfnetlink do so before send returns). For protocols with
   * their own transactions.
   */
  transact(
    requests: readonly Request[],
    flagsOf: (index: number) => number,
    wrap: { before(out: Writer, sequence: number): void; after(out: Writer, sequence: number): void },
  ): { readonly errors: ReadonlyMap<number, Ack>; readonly answers: readonly RawMessage[] } {
    this.#begin(requests.length + 2);
    this.#sequence++;
    wrap.before(this.#out, this.#sequence);
    const first = this.#sequence + 1;
    for (const [i, request] of requests.entries()) this.#write(request, request.flags | flagsOf(i));
    this.#sequence++;
    wrap.after(this.#out, this.#sequence);
    this.#flush();
    const errors = new Map<number, Ack>();
    const answers: RawMessage[] = [];
    for (;;) {
      const datagram = this.#answer();
      if (datagram === undefined) {
        if (errors.size === 0) this.#tell(requests);
        return { errors, answers };
      }
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

  /**
   * Joins a multicast group; next() returns its notifications.
   * @param everywhere also those of every namespace that this one has an nsid for, such as those that its veths lead to
   */
  join(group: number, { everywhere = false } = {}): void {
    this.#transport.join(group, everywhere);
    this.#isListening = true;
  }

  /**
   * Readable when a datagram has arrived, for callers that poll other files as well; -1 where a plain object takes the
   * kernel's place.
   */
  get fd(): number {
    return this.#transport.fd ?? -1;
  }

  /**
   * The notifications since the last call, including those that came during requests. If there are none, waits up to
   * `milliseconds` for a datagram and returns its messages. Where the kernel had more to say than the socket holds, one
   * message of type NLMSG.OVERRUN stands for what was lost: read everything again.
   */
  next(milliseconds: number): RawMessage[] {
    if (this.#heard.length > 0) return this.#heard.splice(0);
    if (!this.#transport.poll(milliseconds)) return [];
    try {
      const datagram = this.#transport.receive(false);
      if (datagram === undefined) return [];
      this.#tap?.('in', datagram, this.#protocol);
      return messagesOf(datagram.slice());
    } catch (error) {
      if (!hasCode(error, 'ENOBUFS')) throw error;
      return [overrun()];
    }
  }

  close(): void {
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What the kernel has answered so far. After an overflow the first answers are still there, and they suffice. */
  #answer(): Uint8Array | undefined {
    try {
      return this.#transport.receive(false);
    } catch (error) {
      if (!hasCode(error, 'ENOBUFS')) throw error;
      return this.#transport.receive(false);
    }
  }

  /** Makes sure that the next `count` sequence numbers are consecutive: they have 32 bits, and a daemon lives long. */
  #begin(count: number): void {
    if (this.#sequence + count > 0xffffffff) this.#sequence = 0;
  }

  #write(request: Request, flags: number): number {
    this.#sequence++;
    try {
      writeMessage(this.#out, request.type, flags | NLM_F.REQUEST, this.#sequence, (out) => request.write(out));
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
    this.#wasOverrun = false;
    this.#tap?.('out', datagram, this.#protocol);
    this.#transport.send(datagram);
  }

  #receive(): RawMessage[] {
    const datagram = this.#await();
    this.#tap?.('in', datagram, this.#protocol);
    // A copy: attributes may be decoded when the transport's buffer already holds another datagram.
    return messagesOf(datagram.slice());
  }

  /**
   * The next datagram while an answer is due. rtnetlink and nfnetlink answer before send returns, so after an overflow
   * there is nothing to wait for: the answer is there, or it was lost.
   */
  #await(): Uint8Array {
    for (;;) {
      try {
        const datagram = this.#transport.receive(!this.#wasOverrun);
        if (datagram !== undefined) return datagram;
      } catch (error) {
        if (!hasCode(error, 'ENOBUFS')) throw error;
        this.#wasOverrun = true;
        if (this.#isListening) this.#heard = [overrun()];
        continue;
      }
      throw new NetloomError(
        'ENOBUFS',
        'Cannot read the answer of the kernel: ENOBUFS, it had more to say than the socket holds',
      );
    }
  }

  /**
   * Reports changes that were made together to listeners. In rtnetlink every third of four types is a query; queries of
   * nf_tables are never in a transaction.
   */
  #tell(requests: readonly Request[]): void {
    if (!isHeard()) return;
    const isQuestion = ({ type }: Request) => this.#protocol === NETLINK_ROUTE && type % 4 === GET;
    const steps = requests.filter((each) => !isQuestion(each)).map(({ action, command }) => ({ action, command }));
    if (steps.length > 0) tell({ netns: this.#netns, steps });
  }

  /** Keeps a notification that came while an answer was awaited, for next(). */
  #hear(raw: RawMessage): void {
    if (!this.#isListening) return;
    if (this.#heard.length >= HEARD_MAX) this.#heard = [overrun()];
    else this.#heard.push({ ...raw, payload: new DataView(bytesOf(raw.payload).slice().buffer) });
  }
}

function overrun(): RawMessage {
  return { type: NLMSG.OVERRUN, flags: 0, sequence: 0, payload: new DataView(new ArrayBuffer(0)) };
}
