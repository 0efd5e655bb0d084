/** Medians rather than means: a single pause of the machine must not change a figure. */

export interface Summary {
  readonly n: number;
  readonly median: number;
  readonly p90: number;
  readonly min: number;
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  const half = sorted.length / 2;
  const median = Number.isInteger(half)
    ? ((sorted[half - 1] ?? Number.NaN) + (sorted[half] ?? Number.NaN)) / 2
    : at(0.5);
  return { n: sorted.length, median: round(median), p90: round(at(0.9)), min: round(at(0)) };
}

/** Rounds to three decimals: to microseconds, if the figure is in milliseconds. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
