/**
 * Reports what is done to the system to a listener: `netloom explain` listens to a rehearsal and prints what it hears.
 * Otherwise nobody listens, and nothing is put into words.
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

/** NB: called after the change, so that a failed one is not reported. */
export function tell(deed: Deed): void {
  listener?.(deed);
}

/** Listens to what a function does. NB: synchronous, and what the listener itself does is not reported. */
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
