/**
 * What the agent's threads know of each other: a piece of shared memory, changed by atomic operations only.
 *
 * One thread at a time, the leader, waits for a call. When it has one it first makes another idle thread the leader,
 * the one with the lowest number, and then carries the call out: no call goes from thread to thread, and a few calls at
 * a time always meet the same threads, whose code is warm.
 *
 * More calls at once than there are processors only get in each other's way, on threads whose code is cold. So nobody
 * is made the leader while so many are at work; only where none of them ends for a moment, because they wait for
 * something, one more is (press()).
 */
import type { Look } from './health.ts';

/** Words before those of the threads. */
const LEADER = 0;
const EPOCH = 1;
const TICKET = 2;
const WATCHED = 3;
const HEAD = 16;

/** Words of a thread. */
const STATE = 0;
const FD = 1;
const KEY = 2;
const OWN_TICKET = 3;
const CALLS = 4;
const WORDS = 8;

const NOBODY = 0;
const BEING_CHOSEN = -1;

export const STATES = {
  ABSENT: 0,
  IDLE: 1,
  LEADING: 2,
  BUSY: 3,
  ENDING: 4,
  EXPIRING: 5,
  EXPIRED: 6,
  GONE: 7,
  RETIRED: 8,
} as const;

/** How long a thread sleeps until it looks around again, in ms. Only a guard: whoever changes something wakes it. */
const GUARD = 60_000;
/** After so long without a call a thread gives back the memory that calls have left, in ms. */
export const REST = 1_000;

export class Board {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #size: number;
  readonly #active: number;

  /**
   * @param size the most threads there can be
   * @param active how many may be at work before more are only there for those that wait
   */
  constructor(size: number, active: number, memory = new SharedArrayBuffer((HEAD + size * WORDS) * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#size = size;
    this.#active = active;
  }

  /**
   * Waits until it is this thread's turn to wait for a call.
   * @param idle is called where that takes long
   * @returns false where the thread is no longer needed
   */
  awaitTurn(id: number, idle: () => void): boolean {
    const word = at(id, STATE);
    let isResting = false;
    for (;;) {
      const state = Atomics.load(this.#words, word);
      if (state === STATES.LEADING) return true;
      if (state === STATES.RETIRED) return false;
      if (Atomics.wait(this.#words, word, STATES.IDLE, isResting ? GUARD : REST) !== 'timed-out') continue;
      if (!isResting) idle();
      isResting = true;
    }
  }

  /**
   * The leader has a call: another one leads.
   * @returns false where none does and somebody has to be told, who calls press() until one does
   */
  begin(id: number, fd: number): boolean {
    Atomics.store(this.#words, at(id, FD), fd);
    Atomics.add(this.#words, at(id, CALLS), 1);
    Atomics.store(this.#words, at(id, STATE), STATES.BUSY);
    Atomics.store(this.#words, LEADER, NOBODY);
    this.#elect(this.#active);
    return this.#hasLeader() || Atomics.exchange(this.#words, WATCHED, 1) === 1;
  }

  /**
   * @returns `led` where somebody waits for calls: nobody needs to look any more. Else one more does from now on, or
   * `short`: there is nobody to
   */
  press(): 'led' | 'pressed' | 'short' {
    if (this.#hasLeader()) {
      Atomics.store(this.#words, WATCHED, 0);
      // Whoever has begun in between has seen that somebody looks.
      if (this.#hasLeader()) return 'led';
      Atomics.store(this.#words, WATCHED, 1);
    }
    return this.#elect(this.#size) ? 'pressed' : 'short';
  }

  /** Lets an idle thread go. @returns false where it is not idle */
  retire(id: number): boolean {
    const word = at(id, STATE);
    if (Atomics.compareExchange(this.#words, word, STATES.IDLE, STATES.RETIRED) !== STATES.IDLE) return false;
    Atomics.notify(this.#words, word);
    return true;
  }

  /**
   * Waits until every earlier call for the same container has ended: one that was given up by its runtime may still be
   * at work when the next one comes.
   * @param key a hash of the container; others with the same wait in vain, which is rare and harmless
   * @returns false where this call has expired meanwhile
   */
  awaitOrder(id: number, key: number): boolean {
    // NB: the key before the ticket, so that whoever has a later ticket sees it.
    Atomics.store(this.#words, at(id, KEY), key);
    const ticket = Atomics.add(this.#words, TICKET, 1) + 1;
    Atomics.store(this.#words, at(id, OWN_TICKET), ticket);
    for (;;) {
      const epoch = Atomics.load(this.#words, EPOCH);
      if (Atomics.load(this.#words, at(id, STATE)) === STATES.EXPIRED) return false;
      if (!this.#hasEarlier(id, key, ticket)) return true;
      Atomics.wait(this.#words, EPOCH, epoch, GUARD);
    }
  }

  #hasEarlier(id: number, key: number, ticket: number): boolean {
    for (let other = 0; other < this.#size; other++) {
      if (other === id || Atomics.load(this.#words, at(other, KEY)) !== key) continue;
      const theirs = Atomics.load(this.#words, at(other, OWN_TICKET));
      // None yet: it may become an earlier one. The difference, because tickets have 32 bits.
      if (theirs === 0 || ((ticket - theirs) | 0) > 0) return true;
    }
    return false;
  }

  /** The call is over. Its connection may be closed when this returns: nobody else will touch it. */
  end(id: number): void {
    const word = at(id, STATE);
    for (;;) {
      const state = Atomics.compareExchange(this.#words, word, STATES.BUSY, STATES.ENDING);
      if (state === STATES.BUSY || state === STATES.EXPIRED) break;
      Atomics.wait(this.#words, word, STATES.EXPIRING, GUARD);
    }
    this.#clear(id);
  }

  /** The thread is free for a call. */
  rest(id: number): void {
    Atomics.store(this.#words, at(id, STATE), STATES.IDLE);
    this.#elect(this.#active);
  }

  /** The leader goes for good, because nobody can call any more. */
  leave(id: number): void {
    Atomics.store(this.#words, at(id, STATE), STATES.GONE);
    Atomics.store(this.#words, LEADER, NOBODY);
    this.#elect(this.#size);
  }

  /** What was a thread is no more, whatever it was doing. @returns the descriptor that it leaves open, or -1 */
  bury(id: number): number {
    const state = Atomics.exchange(this.#words, at(id, STATE), STATES.ABSENT);
    this.#clear(id);
    if (state === STATES.LEADING) {
      Atomics.store(this.#words, LEADER, NOBODY);
      this.#elect(this.#size);
    }
    return state === STATES.BUSY ? Atomics.load(this.#words, at(id, FD)) : -1;
  }

  /**
   * Ends a call that takes too long, if it still is that call.
   * @param act gets its descriptor, which is good for as long as act runs
   */
  expire(id: number, call: number, act: (fd: number) => void): boolean {
    const word = at(id, STATE);
    if (this.callOf(id) !== call) return false;
    if (Atomics.compareExchange(this.#words, word, STATES.BUSY, STATES.EXPIRING) !== STATES.BUSY) return false;
    // NB: looked at again. The thread may have ended that call and begun another in between.
    const isSame = this.callOf(id) === call;
    if (isSame) {
      act(Atomics.load(this.#words, at(id, FD)));
      this.#clear(id);
    }
    Atomics.store(this.#words, word, isSame ? STATES.EXPIRED : STATES.BUSY);
    Atomics.notify(this.#words, word);
    return isSame;
  }

  stateOf(id: number): number {
    return Atomics.load(this.#words, at(id, STATE));
  }

  /** Which of a thread's calls is the one that it is at, or was at last. */
  callOf(id: number): number {
    return Atomics.load(this.#words, at(id, CALLS));
  }

  /**
   * How it is with all of them: whether somebody waits for a call, and how many calls were begun. NB: 32 bits a thread,
   * so it may begin anew.
   */
  look(): Look {
    let begun = 0;
    for (let id = 0; id < this.#size; id++) begun += this.callOf(id);
    return { isLed: this.#hasLeader(), begun };
  }

  /** Lets later calls for the same container go on. */
  #clear(id: number): void {
    Atomics.store(this.#words, at(id, KEY), 0);
    Atomics.store(this.#words, at(id, OWN_TICKET), 0);
    Atomics.add(this.#words, EPOCH, 1);
    Atomics.notify(this.#words, EPOCH);
  }

  #hasLeader(): boolean {
    return Atomics.load(this.#words, LEADER) !== NOBODY;
  }

  /**
   * Makes the idle thread with the lowest number the leader, where there is none and fewer than `most` are at work.
   * @returns false where nobody is idle
   */
  #elect(most: number): boolean {
    for (;;) {
      if (Atomics.compareExchange(this.#words, LEADER, NOBODY, BEING_CHOSEN) !== NOBODY) return true;
      const isEnough = this.#count(STATES.BUSY) >= most;
      for (let id = 0; id < this.#size && !isEnough; id++) {
        const word = at(id, STATE);
        if (Atomics.compareExchange(this.#words, word, STATES.IDLE, STATES.LEADING) !== STATES.IDLE) continue;
        Atomics.store(this.#words, LEADER, id + 1);
        Atomics.notify(this.#words, word);
        return true;
      }
      Atomics.store(this.#words, LEADER, NOBODY);
      // Whoever has become idle in between has found somebody choosing.
      if (isEnough ? this.#count(STATES.BUSY) >= most : this.#count(STATES.IDLE) === 0) return isEnough;
    }
  }

  #count(state: number): number {
    let count = 0;
    for (let id = 0; id < this.#size; id++) if (this.stateOf(id) === state) count++;
    return count;
  }
}

function at(id: number, word: number): number {
  return HEAD + id * WORDS + word;
}
