import { Limit } from '../support/limit.ts';

/**
 * Looks until the state is what it should be, or for a while: some of a link's state follows by itself.
 * @returns what it saw last
 */
export function settled(look: () => string, wanted: string): string {
  const limit = new Limit(30);
  for (;;) {
    const state = look();
    if (state === wanted || limit.isOver()) return state;
  }
}
