/** What the main thread and the one that shows progress have in common: some words, and behind them the text that is shown. */

/** The words, by place. */
export const WORD = { isEnded: 0, isShown: 1, length: 2, count: 3 } as const;
/** Of the text behind them. */
export const TEXT_MAX = 200;
/** Takes away the line that the cursor is in. ECMA-48: CR, EL */
export const CLEAR = '\r\u001b[K';
