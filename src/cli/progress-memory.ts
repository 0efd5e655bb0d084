/**
 * What the main thread and the one that shows progress have in common: some words, and behind them the text that is
 * shown.
 */

/** The words, by place. */
export const WORD = {
  isEnded: 0,
  /** How many columns of the line are written. */
  shown: 1,
  /** Of the text, in bytes. */
  length: 2,
  /** How many columns the line may have. */
  columns: 3,
  /** Whether the terminal is to get no escape sequences. */
  isPlain: 4,
  /** Who writes to the terminal has it. */
  lock: 5,
  count: 6,
} as const;
/** Of the text behind them. */
export const TEXT_MAX = 200;

/** While this runs, the other thread does not write the line and does not take it away. */
export function alone(words: Int32Array, action: () => void): void {
  while (Atomics.compareExchange(words, WORD.lock, 0, 1) !== 0) Atomics.wait(words, WORD.lock, 1);
  try {
    action();
  } finally {
    Atomics.store(words, WORD.lock, 0);
    Atomics.notify(words, WORD.lock);
  }
}

/** What takes away the line that the cursor is in. ECMA-48: CR, EL; or blanks over it */
export function clearing(words: Int32Array): string {
  const shown = Atomics.load(words, WORD.shown);
  return Atomics.load(words, WORD.isPlain) === 1 ? `\r${' '.repeat(shown)}\r` : '\r\u001b[K';
}
