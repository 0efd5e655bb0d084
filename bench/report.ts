/** What the bench prints. */
import { type Outcome, VERBS } from './measure.ts';
import { SCENARIOS } from './scenarios.ts';
import { round, type Summary } from './statistics.ts';

/** ADD with 65,000 leases to ADD with none. DESIGN.md, section 8 */
const LEASES_BUDGET = 1.3;

export function printOutcomes(outcomes: readonly Outcome[], empty: Summary): void {
  const rows = [['scenario', 'verb', 'reference ms', 'p90', 'netloom ms', 'p90', 'ratio', 'budget']];
  for (const { scenario, verbs } of outcomes) {
    const budget = SCENARIOS.find(({ name }) => name === scenario)?.budget;
    for (const verb of VERBS) {
      const { reference, netloom, ratio } = verbs[verb];
      const figures = [reference.median, reference.p90, netloom.median, netloom.p90, ratio].map((value) =>
        value.toFixed(2),
      );
      const limit = verb === 'ADD' ? budget : verb === 'DEL' ? 1 : undefined;
      rows.push([verb === 'ADD' ? scenario : '', verb, ...figures, limit?.toFixed(2) ?? '']);
    }
  }
  printTable(rows);
  console.log(`\nFloor, an empty static C program: ${empty.median.toFixed(2)} ms`);

  const add = (name: string) => outcomes.find(({ scenario }) => scenario === name)?.verbs.ADD;
  const [none, full] = [add('plain'), add('leases-65000')];
  if (none && full) {
    const growth = (side: 'reference' | 'netloom') => round(full[side].median / none[side].median).toFixed(2);
    console.log(
      `ADD with 65,000 leases takes ${growth('netloom')} times as long as with none (budget ${LEASES_BUDGET}); the reference: ${growth('reference')}`,
    );
  }
  for (const { scenario, memory } of outcomes.slice(0, 1)) {
    const megabytes = (side: 'reference' | 'netloom') => (memory[side] / 1024).toFixed(0);
    console.log(
      `Peak memory of an ADD (${scenario}): ${megabytes('netloom')} MB; the reference: ${megabytes('reference')} MB`,
    );
  }
}

/** Names to the left, figures to the right. */
function printTable(rows: readonly string[][]): void {
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, i) => Math.max(most[i] ?? 0, cell.length)), []);
  for (const row of rows) {
    const cells = row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)));
    console.log(cells.join('  ').trimEnd());
  }
}
