import { Limit } from '../support/limit.ts';

/**
 * Looks until the state is as wanted, or gives up: parts of a link's state change asynchronously.
 * @returns the state it saw last
 */
export function settled(look: () => string, wanted: string): string {
  const limit = new Limit(30);
  for (;;) {
    const state = look();
    if (state === wanted || limit.isOver()) return state;
  }
}
