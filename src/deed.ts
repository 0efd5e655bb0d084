/**
 * What is done to the system, told to who listens: `netloom explain` listens to a rehearsal and prints what it hears.
 * Nobody listens otherwise, and then nothing is put into words.
 */

/** Changes that take effect together, in the words of the tools that a person would use. */
export interface Deed {
  /** Device and inode of the network namespace; undefined for the calling thread's own. */
  readonly netns: string | undefined;
  readonly steps: readonly Told[];
}

/** One change: the rest of `Cannot …`, and the command that does the same. */
export interface Told {
  readonly action: string;
  readonly command: string;
}

let listener: ((deed: Deed) => void) | undefined;

export function isHeard(): boolean {
  return listener !== undefined;
}

/** NB: after it is done, so that what failed is not told. */
export function tell(deed: Deed): void {
  listener?.(deed);
}

/** Hears what a function does. NB: synchronous, and what the listener itself does is not heard. */
export function hearing<T>(hear: (deed: Deed) => void, inside: () => T): T {
  const before = listener;
  listener = (deed) => {
    const own = listener;
    listener = undefined;
    try {
      hear(deed);
    } finally {
      listener = own;
    }
  };
  try {
    return inside();
  } finally {
    listener = before;
  }
}
