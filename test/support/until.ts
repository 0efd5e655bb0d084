import { setTimeout as delay } from 'node:timers/promises';
import { Limit } from './limit.ts';

/** Generous: a machine that is busy is slow. What never holds is to be a failure with its name. */
const SECONDS = 120;

export interface UntilOptions {
  /** What must not end before: its value tells why it did. */
  readonly end?: Promise<string>;
  readonly seconds?: number;
}

/** Waits for a condition. One that throws does not hold yet. */
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
    if (limit.isOver()) throw new Error(`This did not come to hold: ${what}: ${last}`, { cause: last });
    await delay(20);
  }
}
