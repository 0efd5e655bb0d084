/** What is said to people, once: again only where it has changed, or has been otherwise in between. */
export class Notices {
  readonly #say: (message: string) => void;
  /** What stood when it was said, by what it is about. */
  readonly #said = new Map<string, string>();

  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  /** @param state what it follows from, where the message does not tell all of it */
  say(about: string, message: string, state: string = message): void {
    if (this.#said.get(about) === state) return;
    this.#said.set(about, state);
    this.#say(message);
  }

  /** It is otherwise now. */
  forget(about: string): void {
    this.#said.delete(about);
  }
}
