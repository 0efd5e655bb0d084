import { until } from '../support/until.ts';
import type { Container } from './runtime.ts';

/** Runs a program until it prints what it should, because ctr loses output under load. @returns what it printed */
export async function prints(
  what: string,
  run: () => string | Promise<string>,
  wanted: (output: string) => boolean,
): Promise<string> {
  let output = '';
  await until(`${what} prints what it should`, async () => {
    output = await run();
    return wanted(output);
  });
  return output;
}

/** prints(), in a container. */
export function holds(
  container: Pick<Container, 'exec'>,
  command: string[],
  wanted: (output: string) => boolean,
): Promise<string> {
  return prints(command.join(' '), () => container.exec(...command), wanted);
}

/** Waits until a container's server listens. Engines return as soon as its process exists. */
export async function listens(container: Pick<Container, 'exec'>, port: number): Promise<void> {
  await holds(container, ['/bin/busybox', 'netstat', '-lnt'], (output) => output.includes(`:${port} `));
}
