/** What somebody may have to wait for, told to who listens: the command line shows it to a person on a terminal where it takes long. Nobody listens otherwise. */

let listener: ((what: string) => void) | undefined;

/** Says what is about to be done, in words that go on after "netloom: ". */
export function begin(what: string): void {
  listener?.(what);
}

export function listen(hear: (what: string) => void): void {
  listener = hear;
}
