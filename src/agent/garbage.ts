import { releaseOwnText } from '../ffi/own-text.ts';

/** The engine collects by itself when a heap has grown to twice its size, which never happens on an idle thread. */
export function collectGarbage(): void {
  (globalThis as { Bun?: { gc(isNow: boolean): void } }).Bun?.gc(true);
}

/** Gives back what rare, long work has left: its garbage, and the engine's code that it has used. */
export function giveBack(): void {
  collectGarbage();
  giveCodeBack();
}

/** Gives back the engine's code that nobody may need again. Code that is needed after all costs a minor fault. */
export function giveCodeBack(): void {
  try {
    releaseOwnText();
  } catch {
    // Where /proc/self/smaps cannot be read the agent is larger, that is all.
  }
}
