import { distance } from './distance.ts';

/** How many letters may be wrong; the word must have more than twice as many as are. */
const SLIPS = 2;

/** The word that was probably meant: the nearest one with at most SLIPS wrong letters, in either case. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const folded = word.toLowerCase();
  const [found] = known
    .map((each) => ({ each, far: distance(folded, each.toLowerCase()) }))
    .filter(({ far }) => far <= SLIPS && far < word.length / 2)
    .sort((a, b) => a.far - b.far);
  return found?.each;
}
