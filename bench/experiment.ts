/** The bench consists of experiments. Each measures both sides in one run, and returns rows of a table. */
import type { Launcher } from './launcher.ts';
import type { Summary } from './statistics.ts';

export const SIDES = ['reference', 'netloom'] as const;
export type SideName = (typeof SIDES)[number];

export interface Side {
  readonly name: SideName;
  /** The directory of its plugins. */
  readonly plugins: string;
}

/** What an experiment works with. The process is alone in a network namespace that plays the host. */
export interface Bench {
  readonly launcher: Launcher;
  /** A directory for files on disk; NETLOOM_ROOT of the plugins. */
  readonly root: string;
  /** The number of measurements per side. */
  readonly n: number;
  readonly reference: Side;
  readonly netloom: Side;
  /** The times of an empty static program, executed in the same way. */
  readonly empty: Summary;
}

export interface Report {
  /** Column heads. Consecutive reports with the same heads share a table. */
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Sentences below the table. */
  readonly notes?: readonly string[];
  /** The same for programs to read: `--json`. */
  readonly figures: unknown;
}

export interface Experiment {
  readonly name: string;
  readonly about: string;
  /** Runs only when it is named. */
  readonly isApart?: true;
  run(bench: Bench): Report | Promise<Report>;
}

/** A cell with the budget of a ratio; empty if there is none. */
export function budgetCell(budget: number | undefined): string {
  return budget === undefined ? '' : budget.toFixed(2);
}
