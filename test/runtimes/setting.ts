/** A machine with a runtime on it, for all tests of a file. */
import type { TestFn } from 'ava';
import { Machine } from './machine.ts';
import type { Runtime } from './runtime.ts';

/**
 * Starts both before the first test and ends them after the last.
 * @returns a function that gives them to a running test
 */
export function settingOf<R extends Runtime>(
  test: TestFn,
  start: (machine: Machine) => R | Promise<R>,
  { hasAgent = false } = {},
): () => { readonly machine: Machine; readonly runtime: R } {
  let machine: Machine | undefined;
  let runtime: R | undefined;
  test.before(async () => {
    machine = await Machine.start();
    if (hasAgent) await machine.startAgent();
    runtime = await start(machine);
  });
  test.after.always(async () => {
    await runtime?.end();
    await machine?.end();
  });
  return () => {
    if (machine === undefined || runtime === undefined) throw new Error('they are there once the tests run');
    return { machine, runtime };
  };
}
