import { releaseOwnText } from '../ffi/own-text.ts';

/** The engine collects by itself when a heap has grown to twice its size, which a thread that is idle never does. */
export function collectGarbage(): void {
  (globalThis as { Bun?: { gc(isNow: boolean): void } }).Bun?.gc(true);
}

/** What something that happens seldom and takes long has left: its garbage, and the engine's code that it took. */
export function giveBack(): void {
  collectGarbage();
  giveCodeBack();
}

/** The engine's code that nobody may need again: what is needed costs a minor fault. */
export function giveCodeBack(): void {
  try {
    releaseOwnText();
  } catch {
    // Where /proc/self/smaps is not to be read the agent is larger, that is all.
  }
}
