/**
 * The memory that the main thread shares with the thread that shows progress: some words, followed by the text to show.
 */

/** The words, by index. */
export const WORD = {
  isEnded: 0,
  /** How many columns of the line are in use. */
  shown: 1,
  /** Length of the text in bytes. */
  length: 2,
  /** The width of the line in columns. */
  columns: 3,
  /** Whether the terminal must not get escape sequences. */
  isPlain: 4,
  /** Held by the thread that writes to the terminal. */
  lock: 5,
  count: 6,
} as const;
/** Bytes for the text after the words. */
export const TEXT_MAX = 200;

/** Runs a function while the other thread neither writes nor clears the line. */
export function alone(words: Int32Array, action: () => void): void {
  while (Atomics.compareExchange(words, WORD.lock, 0, 1) !== 0) Atomics.wait(words, WORD.lock, 1);
  try {
    action();
  } finally {
    Atomics.store(words, WORD.lock, 0);
    Atomics.notify(words, WORD.lock);
  }
}

/** What clears the line that the cursor is in. ECMA-48: CR, EL; or blanks over it */
export function clearing(words: Int32Array): string {
  const shown = Atomics.load(words, WORD.shown);
  return Atomics.load(words, WORD.isPlain) === 1 ? `\r${' '.repeat(shown)}\r` : '\r\u001b[K';
}
