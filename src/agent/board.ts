/**
 * What the agent's threads know of each other: a piece of shared memory, changed by atomic operations only.
 *
 * One thread at a time, the leader, waits for a call. When it gets one, it first makes the idle thread with the lowest
 * number the leader, and then executes the call. So no call passes from thread to thread, and a few calls at a time
 * always meet the same threads, whose code is warm.
 *
 * More calls at once than there are processors only get in each other's way, on threads whose code is cold. So no
 * leader is chosen while that many threads are busy. Only where none of them finishes for a moment, because they wait
 * for something, one more thread leads (press()).
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

/** How long a thread sleeps before it looks again, in ms. Only a guard: every change wakes it. */
const GUARD = 60_000;
/** How long a thread has no call before it gives back the memory that calls have left, in ms. */
export const REST = 1_000;

export class Board {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #size: number;
  readonly #active: number;

  /**
   * @param size the most threads there can be
   * @param active how many may be busy; further threads only stand in for those that wait
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
   * The leader has a call: another thread is to lead.
   * @returns false where none does and nobody is watching: the agent has to be told, and calls press() until one does
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
   * Makes an idle thread the leader, however many are busy.
   * @returns `led` where a thread already waits for calls: no need to look any more; `pressed` where one does from now
   * on; `short` where no thread is idle
   */
  press(): 'led' | 'pressed' | 'short' {
    if (this.#hasLeader()) {
      Atomics.store(this.#words, WATCHED, 0);
      // A call that has begun before that has seen that somebody watches.
      if (this.#hasLeader()) return 'led';
      Atomics.store(this.#words, WATCHED, 1);
    }
    return this.#elect(this.#size) ? 'pressed' : 'short';
  }

  /** Ends an idle thread. @returns false where it is not idle */
  retire(id: number): boolean {
    const word = at(id, STATE);
    if (Atomics.compareExchange(this.#words, word, STATES.IDLE, STATES.RETIRED) !== STATES.IDLE) return false;
    Atomics.notify(this.#words, word);
    return true;
  }

  /**
   * Waits until every earlier call for the same container has ended: a call that its runtime has given up may still be
   * running when the next one comes.
   * @param key a hash of the container's id; containers with the same hash wait in vain, which is rare and harmless
   * @returns false where this call has expired meanwhile
   */
  awaitOrder(id: number, key: number): boolean {
    // NB: the key before the ticket, so that a thread with a later ticket sees it.
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
      // 0: no ticket yet, which may become an earlier one. By the difference, because tickets have 32 bits.
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

  /** Notes that a thread is gone, whatever it was doing. @returns the descriptor that it leaves open, or -1 */
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
   * Gives up a call that takes too long, if the thread is still executing it.
   * @param act gets the call's descriptor, which is valid while act runs
   */
  expire(id: number, call: number, act: (fd: number) => void): boolean {
    const word = at(id, STATE);
    if (this.callOf(id) !== call) return false;
    if (Atomics.compareExchange(this.#words, word, STATES.BUSY, STATES.EXPIRING) !== STATES.BUSY) return false;
    // NB: checked again, because the thread may have ended that call and begun another in between.
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

  /** The number of the call that a thread is executing, or executed last. */
  callOf(id: number): number {
    return Atomics.load(this.#words, at(id, CALLS));
  }

  /**
   * Whether a thread waits for a call, and how many calls were begun in all. NB: counted in 32 bits per thread, so the
   * number may wrap.
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
   * Makes the idle thread with the lowest number the leader, where there is none and fewer than `most` are busy.
   * @returns false where no thread is idle
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
      // A thread that became idle in between has found a choice in progress, and made none itself.
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
