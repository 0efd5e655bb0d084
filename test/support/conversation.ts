/** Talks from one namespace to another over TCP and UDP, with programs that live for one test. */
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Sandbox } from './host.ts';

type Program = ChildProcessByStdio<null, Readable, null>;

/**
 * Starts answerer.ts: it answers on a port with its name and the client's address.
 * @param sandbox where it runs; undefined is the host
 */
export async function answer(
  t: ExecutionContext,
  sandbox: Sandbox | undefined,
  name: string,
  port: number,
  address?: string,
): Promise<Program> {
  const program = start(t, sandbox, 'answerer', [name, String(port), ...(address === undefined ? [] : [address])]);
  await linesOf(program).next();
  return program;
}

/**
 * Connects to a TCP port. @returns what it answers, or undefined if it does not
 * @param from where; undefined is the host
 * @param seconds how long to wait for an answer: a short time if none is expected, not even a refusal
 */
export function ask(from: Sandbox | undefined, address: string, port: number, seconds = 30): string | undefined {
  try {
    return execFileSync(
      ...within(from, 'timeout', [`${seconds}`, 'bash', '-c', `exec 3<>/dev/tcp/${address}/${port} && cat <&3`]),
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
  } catch {
    return undefined;
  }
}

/** Sends datagrams from one source port until the test ends, and yields the answers one by one (sender.ts). */
export function send(
  t: ExecutionContext,
  from: Sandbox | undefined,
  address: string,
  port: number,
  source: number,
): AsyncGenerator<string> {
  return linesOf(start(t, from, 'sender', [address, String(port), String(source)]));
}

/** How long an answer may take, in milliseconds: programs start slowly on a busy or emulated machine. */
const PATIENCE = 120_000;

/**
 * Reads answers until the wanted one comes.
 * @throws after two minutes, with the last answer
 */
export async function until(answers: AsyncGenerator<string>, wanted: string): Promise<string> {
  let heard = 'nothing';
  const late = AbortSignal.timeout(PATIENCE);
  const end = new Promise<never>((_, reject) => {
    late.addEventListener('abort', () => reject(new Error(`waited for "${wanted}", heard ${heard} last`)));
  });
  for (;;) {
    const { value, done } = await Promise.race([answers.next(), end]);
    if (done === true) throw new Error(`the sender ended before it heard "${wanted}", after ${heard}`);
    if (value === wanted) return value;
    heard = `"${value}"`;
  }
}

function start(t: ExecutionContext, sandbox: Sandbox | undefined, name: string, args: readonly string[]): Program {
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const program = spawn(...within(sandbox, process.execPath, [file, ...args]), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => {
    program.kill('SIGKILL');
  });
  return program;
}

function within(sandbox: Sandbox | undefined, program: string, args: readonly string[]): [string, string[]] {
  return sandbox === undefined ? [program, [...args]] : ['nsenter', [`--net=${sandbox.path}`, program, ...args]];
}

async function* linesOf(program: Program): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of program.stdout) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
