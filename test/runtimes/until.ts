import { setTimeout as delay } from 'node:timers/promises';
import type { Container } from './runtime.ts';

/** Generous: a machine that is busy is slow. What never holds is to be a failure with its name. */
const LIMIT_MS = 120_000;

/**
 * Waits for a condition. A condition that throws does not hold yet.
 * @param end what must not end before: its value tells why it did
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  end: Promise<string>,
): Promise<void> {
  const limit = performance.now() + LIMIT_MS;
  let ended: string | undefined;
  void end.then((output) => {
    ended = output;
  });
  for (let last: unknown; ; ) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    if (ended !== undefined) throw new Error(`It ended before this held: ${what}: ${ended}`, { cause: last });
    if (performance.now() > limit) throw new Error(`This did not come to hold: ${what}`, { cause: last });
    await delay(20);
  }
}

/** Runs a program until it prints what it should: under load ctr loses output. @returns what it printed */
export async function prints(
  what: string,
  run: () => string | Promise<string>,
  wanted: (output: string) => boolean,
): Promise<string> {
  let output = '';
  await until(
    `${what} prints what it should`,
    async () => {
      output = await run();
      return wanted(output);
    },
    new Promise(() => {}),
  );
  return output;
}

/** As prints(), in a container. */
export function holds(
  container: Pick<Container, 'exec'>,
  command: string[],
  wanted: (output: string) => boolean,
): Promise<string> {
  return prints(command.join(' '), () => container.exec(...command), wanted);
}

/** Waits until a container's server listens: engines are back as soon as its process is there. */
export async function listens(container: Pick<Container, 'exec'>, port: number): Promise<void> {
  await holds(container, ['/bin/busybox', 'netstat', '-lnt'], (output) => output.includes(`:${port} `));
}
