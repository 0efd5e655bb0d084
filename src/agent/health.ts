/**
 * Whether calls are served, for `/healthz`. The agent looks at intervals. Where many calls come, a thread waits for the
 * next one for microseconds only, and a look seldom sees it. So a call that was begun since the last look counts as
 * well. NB: time is counted in looks, not by the clock, which goes on while the whole process is stopped.
 */

/** The state of the threads at one moment. */
export interface Look {
  /** Whether one of them waits for calls. */
  readonly isLed: boolean;
  /** How many calls were begun since the agent began. */
  readonly begun: number;
}

export class Health {
  readonly #patience: number;
  #looks = 0;
  #begun = 0;

  /** @param patience after how many looks in a row without service there is a fault */
  constructor(patience: number) {
    this.#patience = patience;
  }

  look({ isLed, begun }: Look): void {
    this.#looks = isLed || begun !== this.#begun ? 0 : this.#looks + 1;
    this.#begun = begun;
  }

  /** What is wrong; undefined where nothing is. */
  get fault(): string | undefined {
    return this.#looks < this.#patience ? undefined : 'no thread takes calls: those at work do not end';
  }
}
