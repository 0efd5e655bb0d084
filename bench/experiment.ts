/**
 * What the bench is made of: experiments, each of which measures both sides in one run and answers with rows of a
 * table.
 */
import type { Launcher } from './launcher.ts';
import type { Summary } from './statistics.ts';

export const SIDES = ['reference', 'netloom'] as const;
export type SideName = (typeof SIDES)[number];

export interface Side {
  readonly name: SideName;
  /** Where its plugins are. */
  readonly plugins: string;
}

/** What an experiment works with. The process is in a network namespace that plays the host, and alone in it. */
export interface Bench {
  readonly launcher: Launcher;
  /** A directory for what is kept on disk; NETLOOM_ROOT of what is called. */
  readonly root: string;
  /** Measurements of each side. */
  readonly n: number;
  readonly reference: Side;
  readonly netloom: Side;
  /** An empty static program, executed in the same way. */
  readonly empty: Summary;
}

export interface Report {
  /** Column heads. Reports that follow each other with the same heads share a table. */
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Sentences below the table. */
  readonly notes?: readonly string[];
  /** The same for programs: `--json`. */
  readonly figures: unknown;
}

export interface Experiment {
  readonly name: string;
  readonly about: string;
  /** Run only where it is asked for by name. */
  readonly isApart?: true;
  run(bench: Bench): Report | Promise<Report>;
}

/** A ratio beside what it is to stay below: empty where there is no budget. */
export function budgetCell(budget: number | undefined): string {
  return budget === undefined ? '' : budget.toFixed(2);
}
