/**
 * Stands between src/ and libc: counts the calls, and makes a given one fail or kill the process. For a process or test
 * file of its own.
 */
import { libc } from '../../../src/ffi/libc.ts';

type Call = (...args: never[]) => number;

/**
 * Records the names of the calls in order, from now on.
 * @param before called before each; if it returns a number, that replaces the call
 */
export function tapLibc(before: (name: string, count: number) => number | undefined): {
  readonly calls: string[];
  stop(): void;
} {
  const functions = libc as unknown as Record<string, Call>;
  const real = { ...functions };
  const calls: string[] = [];
  for (const [name, call] of Object.entries(real)) {
    functions[name] = (...args) => {
      calls.push(name);
      return before(name, calls.length) ?? call(...args);
    };
  }
  return { calls, stop: () => void Object.assign(functions, real) };
}

/** What an injected failure returns: errno is EBADF. */
export function failure(): number {
  return close(-1);
}

const close = libc.close;
