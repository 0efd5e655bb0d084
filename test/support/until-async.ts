import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a condition that takes a question to find out. One that throws does not hold yet. */
export async function untilAsync(what: string, holds: () => Promise<boolean> | boolean, seconds = 120): Promise<void> {
  const limit = performance.now() + seconds * 1000;
  for (let last: unknown; ; ) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > limit) throw new Error(`This did not come to hold: ${what}: ${last}`, { cause: last });
    await delay(20);
  }
}
