import { distance } from './distance.ts';

/** Slips of so many letters, in words that are longer than that. */
const SLIPS = 2;

/** The word that was probably meant: the one that is a slip of the pen or two away, in letters of either case. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const folded = word.toLowerCase();
  const [found] = known
    .map((each) => ({ each, far: distance(folded, each.toLowerCase()) }))
    .filter(({ far }) => far <= SLIPS && far < word.length / 2)
    .sort((a, b) => a.far - b.far);
  return found?.each;
}
