/** Measures the rate of a TCP connection between two namespaces. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Sandbox } from '../../support/host.ts';

const WORKER = fileURLToPath(new URL('flow-worker.ts', import.meta.url));
const PORT = '5201';

/** Where one end of the connection is. */
export type Place = Sandbox | 'host';

/**
 * The rate from one place to another, in bits per second, without the burst.
 * @param address the receiver's address
 * @param burst how many bits may arrive at once
 */
export async function flow(
  from: Place,
  to: Place,
  address: string,
  burst: number,
  milliseconds = 2_500,
): Promise<number> {
  const receiver = start(to, 'receive', PORT, String(milliseconds));
  let sender: ChildProcess | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      receiver.stderr?.once('data', () => resolve());
      receiver.once('exit', () => reject(new Error('the receiver has left')));
    });
    sender = start(from, 'send', address, PORT);
    let text = '';
    receiver.stdout?.on('data', (data) => (text += data));
    await new Promise((resolve) => receiver.once('close', resolve));
    const { bytes, elapsed } = JSON.parse(text) as { bytes: number; elapsed: number };
    return ((bytes * 8 - burst) * 1000) / elapsed;
  } finally {
    receiver.kill('SIGKILL');
    sender?.kill('SIGKILL');
  }
}

/**
 * Repeats a measurement until a rate is high enough, at most 8 times. On a busy machine a run may get less than its
 * limit, but no run may get more.
 */
export async function bestFlow(enough: number, run: () => Promise<number>): Promise<readonly number[]> {
  const rates: number[] = [];
  for (let i = 0; i < 8 && !rates.some((rate) => rate >= enough); i++) rates.push(await run());
  return rates;
}

function start(place: Place, ...args: string[]): ChildProcess {
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', WORKER, ...args];
  const [file = '', ...rest] = place === 'host' ? command : ['nsenter', `--net=${place.path}`, ...command];
  return spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
}
