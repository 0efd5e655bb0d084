/** Lines on stderr: everything that is not a call's answer. */
import { libc } from './libc.ts';

const encoder = new TextEncoder();

/** Prints a line. What stderr does not take is lost: reporting an event must not make it fail. */
export function printLine(line: string): void {
  const bytes = encoder.encode(`${line}\n`);
  libc.write(2, bytes, bytes.length);
}
