/**
 * What the agent's threads count, in shared memory that is changed by atomic additions only. A call costs a few of them
 * (0.2 µs each), and wakes no thread. metrics.ts and status.ts read it when somebody asks.
 */

/** Upper bounds of the latency buckets in µs; one more bucket has what takes longer. */
export const BOUNDS = [
  250, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
  2_500_000, 5_000_000, 10_000_000, 30_000_000,
] as const;

/** The commands that are served (native/shim.c, is_for_agent()). */
export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const;

/**
 * How many CNI codes are counted, by number; 0 is success. The last stands for all higher ones, of which netloom has
 * one: 999, internal.
 */
const CODES = 128;
const ERRNOS = 256;

/** Words of a type and command: outcomes, buckets with the one above the bounds, the sum of the time. */
const BUCKETS = BOUNDS.length + 1;
const SUM = CODES + BUCKETS;
const WORDS = SUM + 1;

/** Words before those of the calls. */
const DECLINED = 0;
const BROKEN = 1;
const ERRNO = 2;
const HEAD = ERRNO + ERRNOS;

/** Calls of one type and command. */
export interface CallFigures {
  readonly type: string;
  readonly command: string;
  /** How many had each outcome: a CNI code, 0 for success. */
  readonly outcomes: ReadonlyMap<number, number>;
  readonly count: number;
  /** How many were in each bucket, the one above the bounds last. */
  readonly buckets: readonly number[];
  /** The sum of all latencies, in µs. */
  readonly sum: number;
}

export interface Figures {
  readonly calls: readonly CallFigures[];
  /** Calls that were left to the caller. */
  readonly declined: number;
  /** Callers that went away in the middle of a call, or did not keep to the protocol. */
  readonly broken: number;
  /** Requests that the kernel refused, by errno. */
  readonly kernelErrors: ReadonlyMap<number, number>;
}

export class Tally {
  readonly memory: SharedArrayBuffer;
  readonly #words: BigInt64Array;
  readonly #types: readonly string[];

  /** @param types the plugin types, in the same order on all threads */
  constructor(
    types: readonly string[],
    memory = new SharedArrayBuffer((HEAD + types.length * COMMANDS.length * WORDS) * 8),
  ) {
    this.memory = memory;
    this.#words = new BigInt64Array(memory);
    this.#types = types;
  }

  /** @param code of CNI, 0 for success @param time in ms */
  called(type: string, command: string, code: number, time: number): void {
    const base = this.#baseOf(this.#types.indexOf(type), COMMANDS.indexOf(command as (typeof COMMANDS)[number]));
    if (base < 0) return;
    const microseconds = Math.max(0, Math.round(time * 1000));
    this.#add(base + (code < CODES ? code : CODES - 1));
    this.#add(base + CODES + bucketOf(microseconds));
    this.#add(base + SUM, BigInt(microseconds));
  }

  declined(): void {
    this.#add(DECLINED);
  }

  broken(): void {
    this.#add(BROKEN);
  }

  refused(errno: number): void {
    if (errno > 0 && errno < ERRNOS) this.#add(ERRNO + errno);
  }

  read(): Figures {
    const kernelErrors = new Map<number, number>();
    for (let errno = 1; errno < ERRNOS; errno++) {
      const count = this.#at(ERRNO + errno);
      if (count > 0) kernelErrors.set(errno, count);
    }
    const calls = this.#types.flatMap((type, i) => COMMANDS.map((command, j) => this.#callsOf(type, command, i, j)));
    return {
      calls: calls.filter(({ count }) => count > 0),
      declined: this.#at(DECLINED),
      broken: this.#at(BROKEN),
      kernelErrors,
    };
  }

  #callsOf(type: string, command: string, i: number, j: number): CallFigures {
    const base = this.#baseOf(i, j);
    const outcomes = new Map<number, number>();
    for (let slot = 0; slot < CODES; slot++) {
      const count = this.#at(base + slot);
      if (count > 0) outcomes.set(slot === CODES - 1 ? 999 : slot, count);
    }
    const buckets = Array.from({ length: BUCKETS }, (_, bucket) => this.#at(base + CODES + bucket));
    // NB: the sum of the buckets, not of the outcomes, so that a histogram agrees with itself while calls go on.
    const count = buckets.reduce((sum, each) => sum + each, 0);
    return { type, command, outcomes, count, buckets, sum: this.#at(base + SUM) };
  }

  #baseOf(type: number, command: number): number {
    return type < 0 || command < 0 ? -1 : HEAD + (type * COMMANDS.length + command) * WORDS;
  }

  #add(word: number, value = 1n): void {
    Atomics.add(this.#words, word, value);
  }

  #at(word: number): number {
    return Number(Atomics.load(this.#words, word));
  }
}

/**
 * The latency below which a share of the calls were, in ms, estimated from the buckets. Within a bucket they are taken
 * to be spread evenly, as Prometheus does. Undefined without a call; the highest bound where the latency is above all
 * of them.
 */
export function quantile(
  { buckets, count }: Pick<CallFigures, 'buckets' | 'count'>,
  share: number,
): number | undefined {
  if (count === 0) return undefined;
  let below = 0;
  for (const [i, bound] of BOUNDS.entries()) {
    const here = buckets[i] ?? 0;
    if (here > 0 && below + here >= share * count) {
      const from = BOUNDS[i - 1] ?? 0;
      return (from + ((share * count - below) / here) * (bound - from)) / 1000;
    }
    below += here;
  }
  return (BOUNDS.at(-1) ?? 0) / 1000;
}

function bucketOf(microseconds: number): number {
  let bucket = 0;
  while (bucket < BOUNDS.length && microseconds > (BOUNDS[bucket] ?? 0)) bucket++;
  return bucket;
}
