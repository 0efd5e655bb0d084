import { messageOf, NetloomError } from '../error.ts';

/**
 * Runs every step even where others fail, as a DEL or a GC must, and throws at the end: a single error as it is,
 * several as one that lists them.
 */
export function gather(...steps: readonly (() => void)[]): void {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  const [first] = errors;
  if (errors.length === 0) return;
  if (errors.length === 1) throw first;
  const code = first instanceof NetloomError ? first.code : 'internal';
  throw new NetloomError(code, errors.map(messageOf).join('; '), { cause: first });
}
