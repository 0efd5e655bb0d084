/** How much existing leases cost an ADD. */
import type { Bench, Experiment, Report } from '../experiment.ts';
import { measure, type Outcome } from '../measure.ts';
import { IPV4 } from '../scenario.ts';
import { round } from '../statistics.ts';
import { table } from './lifecycle.ts';

/** The upper limit for the ratio of ADD with 65,000 leases to ADD with none */
const BUDGET = 1.3;

export const leases: Experiment = {
  name: 'leases',
  about: 'ADD, CHECK and DEL with 0, 1,000 and 65,000 leases in the network',
  run(bench: Bench): Report {
    const [none, some, full] = [0, 1000, 65_000].map((count) =>
      measure(bench, { name: `leases-${count}`, plugin: {}, subnets: [IPV4], leases: count }),
    ) as [Outcome, Outcome, Outcome];
    const growth = (side: 'reference' | 'netloom') => round(full.verbs.ADD[side].median / none.verbs.ADD[side].median);
    const [ours, theirs] = [growth('netloom'), growth('reference')];
    const tables = [none, some, full].map((outcome) => table(outcome));
    return {
      heads: tables[0]?.heads ?? [],
      rows: tables.flatMap(({ rows }) => rows),
      notes: [
        `ADD with 65,000 leases takes ${ours.toFixed(2)} times as long as with none (budget ${BUDGET}); the reference: ${theirs.toFixed(2)}`,
      ],
      figures: { outcomes: [none, some, full], growth: { netloom: ours, reference: theirs, budget: BUDGET } },
    };
  },
};
