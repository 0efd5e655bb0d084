/** The output of the bench, for a terminal and for Markdown. */
import type { Report } from './experiment.ts';

interface Table {
  readonly heads: readonly string[];
  readonly rows: (readonly string[])[];
  readonly notes: string[];
}

export function asText(reports: readonly Report[]): string {
  return tablesOf(reports)
    .map(({ heads, rows, notes }) => [...aligned([heads, ...rows]), ...notes.map((note) => `${note}.`), ''].join('\n'))
    .join('\n');
}

export function asMarkdown(reports: readonly Report[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return tablesOf(reports)
    .map(({ heads, rows, notes }) => {
      const rule = `|${heads.map((_, i) => (isName(i) ? '---|' : '---:|')).join('')}`;
      return [line(heads), rule, ...rows.map(line), ...notes.flatMap((note) => ['', `${note}.`])].join('\n');
    })
    .join('\n\n');
}

/** Consecutive reports with the same heads share a table. */
function tablesOf(reports: readonly Report[]): Table[] {
  const tables: Table[] = [];
  for (const { heads, rows, notes = [] } of reports) {
    const last = tables.at(-1);
    if (last?.heads.join('|') === heads.join('|')) {
      last.rows.push(...rows);
      last.notes.push(...notes);
    } else {
      tables.push({ heads, rows: [...rows], notes: [...notes] });
    }
  }
  return tables;
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, i) => Math.max(most[i] ?? 0, cell.length)), []);
  return rows.map((row) =>
    row
      .map((cell, i) => (isName(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** The first two columns are names, aligned left; the others are figures, aligned right. */
function isName(column: number): boolean {
  return column < 2;
}
