/** Messages to people, each said once, and again only where its state has changed. */
export class Notices {
  readonly #say: (message: string) => void;
  /** The state when it was said, by subject. */
  readonly #said = new Map<string, string>();

  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  /** @param state what decides whether it is new, where the message does not say all of it */
  say(about: string, message: string, state: string = message): void {
    if (this.#said.get(about) === state) return;
    this.#said.set(about, state);
    this.#say(message);
  }

  /** The matter is settled: the next message about it is said again. */
  forget(about: string): void {
    this.#said.delete(about);
  }
}
