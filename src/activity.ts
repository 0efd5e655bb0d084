/**
 * Reports what somebody may have to wait for to a listener. The command line listens, and shows it to a person on a
 * terminal where it takes long. Otherwise nobody listens.
 */

/** @param what undefined where netloom waits for nothing */
type Listener = (what: string | undefined) => void;

let listener: Listener | undefined;

/** Says what is about to be done, in words that follow "netloom: ". */
export function begin(what: string): void {
  listener?.(what);
}

/** Says that what follows lasts, and has the terminal: somebody's command, or a service. */
export function rest(): void {
  listener?.(undefined);
}

export function listen(hear: Listener): void {
  listener = hear;
}
