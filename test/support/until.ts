import { setTimeout as delay } from 'node:timers/promises';
import { Limit } from './limit.ts';

/** Generous, because a busy machine is slow. A condition that never holds fails with its name. */
const SECONDS = 120;

export interface UntilOptions {
  /** Something that must not end before the condition holds. Its value says why it ended. */
  readonly end?: Promise<string>;
  readonly seconds?: number;
}

/** Waits for a condition. If it throws, it does not hold yet. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  { end, seconds = SECONDS }: UntilOptions = {},
): Promise<void> {
  const limit = new Limit(seconds);
  let ended: string | undefined;
  void end?.then((output) => {
    ended = output;
  });
  for (let last: unknown; ; ) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    if (ended !== undefined) throw new Error(`It ended before this held: ${what}: ${ended}`, { cause: last });
    if (limit.isOver())
      throw new Error(`This did not come to hold: ${what}${last === undefined ? '' : `: ${last}`}`, { cause: last });
    await delay(20);
  }
}
