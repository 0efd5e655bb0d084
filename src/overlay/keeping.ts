/**
 * What the agent's thread for overlays (src/agent/overlays.ts) has read and applied, for the calls that the same agent
 * serves. A call need not read thousands of nodes again and compare each with the kernel: it asks for a look, and the
 * answer has what it needs. It is shared memory because neither side returns to the engine's event loop.
 */
import { fnv1a, hashWord } from '../fnv.ts';
import type { Paths } from '../paths.ts';
import type { OverlayNetwork } from './network.ts';
import { type NodeRecord, recordOf } from './record.ts';

/** What is known of a network. `pending`: the agent looks after it, but there is nothing to build upon yet. */
export type Kept = 'pending' | Carried;

export interface Carried {
  /** This node's record, as the store has it. */
  readonly own: NodeRecord;
  readonly mtu: number;
  /**
   * The devices through which all other nodes are reached; undefined where there are none yet. NB: by index, because a
   * device that is made anew has another one.
   */
  readonly devices?: { readonly bridge: number; readonly tunnel?: number };
}

/** Indices of words in the shared memory. From WANTED on, each thread has one that says which network it wants. */
const HAS_KEEPER = 0;
const ASKED = 1;
const DONE = 2;
/** Odd while the text is being written. */
const EDITION = 3;
const LENGTH = 4;
const WANTED = 8;
const THREADS = 64;
const TEXT = (WANTED + THREADS) * 4;
/** In bytes, for all networks. Where they do not fit, calls work everything out for themselves, as without an agent. */
const TEXT_MAX = 64 * 1024;

/**
 * How long a call waits for a look, in ms. A look at thousands of nodes takes half a second, and some seconds on a busy
 * machine.
 */
const PATIENCE = 5_000;
/** How often a call retries while the text is being written, which takes some microseconds. */
const TRIES = 10_000;

export class Keeping {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #text: Uint8Array;
  readonly #wake: () => void;
  /**
   * The last answer (DONE) when a call waited in vain. No call waits again until there is a newer one: a store that
   * does not answer holds up its own network only.
   */
  #isStuckAt: number | undefined;

  /**
   * @param wake wakes the keeper when it is asked. NB: passed in, not imported: the engine of a plugin without an agent
   * has no events
   */
  constructor(wake: () => void, memory = new SharedArrayBuffer(TEXT + TEXT_MAX)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, TEXT / 4);
    this.#text = new Uint8Array(memory, TEXT);
    this.#wake = wake;
  }

  /** Whether there is a keeper to wait for. Without one, no call waits any longer. */
  set hasKeeper(isThere: boolean) {
    Atomics.store(this.#words, HAS_KEEPER, isThere ? 1 : 0);
    if (!isThere) this.tell(this.asked, {});
  }

  /** For the keeper: the number of the latest question. A look that begins now answers it. */
  get asked(): number {
    return Atomics.load(this.#words, ASKED);
  }

  /** For the keeper: whether a call is about to attach the first container to a network. */
  isWanted(network: string): boolean {
    const key = hashWord(network);
    for (let i = 0; i < THREADS; i++) if (Atomics.load(this.#words, WANTED + i) === key) return true;
    return false;
  }

  /** For the keeper: answers the questions up to a number. @param networks keyed by printOf() */
  tell(number: number, networks: Readonly<Record<string, Kept>>): void {
    const bytes = new TextEncoder().encode(JSON.stringify(networks));
    Atomics.add(this.#words, EDITION, 1);
    const fits = bytes.length <= TEXT_MAX;
    if (fits) this.#text.set(bytes);
    Atomics.store(this.#words, LENGTH, fits ? bytes.length : 0);
    Atomics.add(this.#words, EDITION, 1);
    Atomics.store(this.#words, DONE, number);
    Atomics.notify(this.#words, DONE);
  }

  /** For a call: says that a thread wants a network looked after, until it is disposed of. */
  want(thread: number, network: string): Disposable {
    Atomics.store(this.#words, WANTED + thread, hashWord(network));
    return { [Symbol.dispose]: () => void Atomics.store(this.#words, WANTED + thread, 0) };
  }

  /**
   * For a call: asks for a look at everything, and waits for it.
   * @returns what is then known of the network; undefined where nobody looks after it, or no answer came in time
   */
  look(print: string): Kept | undefined {
    const number = (Atomics.add(this.#words, ASKED, 1) + 1) | 0;
    if (!this.#hasKeeper() || Atomics.load(this.#words, DONE) === this.#isStuckAt) return undefined;
    this.#wake();
    const limit = performance.now() + PATIENCE;
    for (;;) {
      const done = Atomics.load(this.#words, DONE);
      if (((done - number) | 0) >= 0) break;
      const rest = limit - performance.now();
      if (rest <= 0) this.#isStuckAt = done;
      if (rest <= 0 || !this.#hasKeeper()) return undefined;
      Atomics.wait(this.#words, DONE, done, rest);
    }
    return this.#hasKeeper() ? read(this.#read(), print) : undefined;
  }

  #hasKeeper(): boolean {
    return Atomics.load(this.#words, HAS_KEEPER) === 1;
  }

  #read(): string {
    for (let i = 0; i < TRIES; i++) {
      const edition = Atomics.load(this.#words, EDITION);
      // NB: a copy, because TextDecoder takes no shared memory.
      const bytes = this.#text.slice(0, Atomics.load(this.#words, LENGTH));
      if ((edition & 1) === 0 && Atomics.load(this.#words, EDITION) === edition) {
        return new TextDecoder().decode(new Uint8Array(bytes));
      }
    }
    return '';
  }
}

/**
 * The key by which call and keeper mean the same: the network, its store, its MTU, and where this machine keeps what it
 * knows.
 */
export function printOf({ run, state }: Paths, network: OverlayNetwork, source: unknown, mtu: number): string {
  return fnv1a(JSON.stringify([run, state, network, source, mtu]));
}

function read(text: string, print: string): Kept | undefined {
  const all = JSON.parse(text === '' ? '{}' : text) as Readonly<Record<string, Kept>>;
  const kept = all[print];
  if (kept === undefined || kept === 'pending') return kept;
  const own = recordOf(kept.own);
  return own && { ...kept, own };
}

let reliedOn: { readonly keeping: Keeping; readonly thread: number } | undefined;

/** From here on, calls of this thread use what the agent keeps. */
export function relyOn(keeping: Keeping, thread: number): void {
  reliedOn = { keeping, thread };
  // An earlier thread of that number may have broken down during a call.
  keeping.want(thread, '')[Symbol.dispose]();
}

/** A call's handle on the keeper. */
export interface Keeper extends Disposable {
  /** @returns what is known now; undefined where the call has to do everything itself */
  look(): Kept | undefined;
}

/** For a call about a network; undefined without an agent. */
export function keeperOf(network: string, print: () => string): Keeper | undefined {
  if (reliedOn === undefined) return undefined;
  const { keeping, thread } = reliedOn;
  const wanted = keeping.want(thread, network);
  const own = print();
  return { look: () => keeping.look(own), [Symbol.dispose]: () => wanted[Symbol.dispose]() };
}
