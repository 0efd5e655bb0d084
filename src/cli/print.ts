/** The format of output: JSON for programs, columns for people. */
import type { CommandContext } from '@stricli/core';

/** The flag of every listing. */
export const jsonFlag = { kind: 'boolean', default: false, brief: 'Print JSON' } as const;

export function printJson({ process }: CommandContext, value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Rows in columns under their titles. */
export function printTable(
  { process }: CommandContext,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const all = [titles, ...rows];
  const widths = titles.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  for (const row of all) {
    const cells = row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)));
    process.stdout.write(`${cells.join('  ').trimEnd()}\n`);
  }
}
