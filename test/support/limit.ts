/** The longest time between two looks that counts, in milliseconds. Most looks take less. */
const GAP_MAX = 10_000;

/** A time limit for a test that waits. A pause in which the machine stood still counts as GAP_MAX at most. */
export class Limit {
  #left: number;
  #last = performance.now();

  constructor(seconds: number) {
    this.#left = seconds * 1000;
  }

  /** NB: call it after each look. */
  isOver(): boolean {
    const now = performance.now();
    this.#left -= Math.min(now - this.#last, GAP_MAX);
    this.#last = now;
    return this.#left < 0;
  }
}
