/** What may pass from one look to the next, in milliseconds: most looks take less. */
const GAP_MAX = 10_000;

/** How long a test waits. A machine that stood still in between has not waited: a pause of it counts as a few seconds. */
export class Limit {
  #left: number;
  #last = performance.now();

  constructor(seconds: number) {
    this.#left = seconds * 1000;
  }

  /** NB: to be asked after each look. */
  isOver(): boolean {
    const now = performance.now();
    this.#left -= Math.min(now - this.#last, GAP_MAX);
    this.#last = now;
    return this.#left < 0;
  }
}
