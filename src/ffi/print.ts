/** Lines on stderr, where everything goes that is not a call's answer. */
import { libc } from './libc.ts';

const encoder = new TextEncoder();

/** Prints a line. What stderr does not take is lost: telling must not fail what it tells of. */
export function printLine(line: string): void {
  const bytes = encoder.encode(`${line}\n`);
  libc.write(2, bytes, bytes.length);
}
