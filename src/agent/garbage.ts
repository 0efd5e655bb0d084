/** The engine collects by itself when a heap has grown to twice its size, which a thread that is idle never does. */
export function collectGarbage(): void {
  (globalThis as { Bun?: { gc(isNow: boolean): void } }).Bun?.gc(true);
}
