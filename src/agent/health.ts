/**
 * Whether calls are served: what `/healthz` says of it. It is looked at now and then, because a thread that waits for
 * calls does so for microseconds only where many come. So it counts as well that one was begun meanwhile. NB: in looks,
 * not by the clock, which goes on while the whole process is held.
 */

/** How it stands with the threads at a moment. */
export interface Look {
  /** Whether one of them waits for calls. */
  readonly isLed: boolean;
  /** Calls that were begun since the agent began. */
  readonly begun: number;
}

export class Health {
  readonly #patience: number;
  #looks = 0;
  #begun = 0;

  /** @param patience looks, one after another, in which nobody serves */
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
