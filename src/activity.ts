/**
 * What somebody may have to wait for, told to who listens: the command line shows it to a person on a terminal where it
 * takes long. Nobody listens otherwise.
 */

/** @param what undefined where nothing of netloom's is waited for */
type Listener = (what: string | undefined) => void;

let listener: Listener | undefined;

/** Says what is about to be done, in words that go on after "netloom: ". */
export function begin(what: string): void {
  listener?.(what);
}

/** Says that what comes is there to last, and has the terminal: somebody's command, or a service. */
export function rest(): void {
  listener?.(undefined);
}

export function listen(hear: Listener): void {
  listener = hear;
}
