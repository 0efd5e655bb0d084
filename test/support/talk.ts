/** Connections between sandboxes: a TCP and UDP echo server, and clients that use bash's /dev/tcp. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { ExecutionContext } from 'ava';
import type { Sandbox } from './host.ts';

const SERVER = `
const net = require('node:net'), dgram = require('node:dgram');
let left = 2 * process.argv.length - 2;
const ready = () => --left === 0 && console.log('ready');
for (const port of process.argv.slice(1).map(Number)) {
  net.createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(port, '::', ready);
  const udp = dgram.createSocket('udp6');
  udp.on('message', (text, from) => udp.send(text, from.port, from.address)).bind(port, ready);
}`;

/** Starts a server on the ports. It runs until the test ends. */
export async function serve(
  t: Pick<ExecutionContext, 'teardown'>,
  { path }: Sandbox,
  ...ports: number[]
): Promise<void> {
  const server = spawn('nsenter', [`--net=${path}`, process.execPath, '-e', SERVER, ...ports.map(String)]);
  t.teardown(() => server.kill('SIGKILL'));
  await once(server.stdout, 'data');
}

/** Whether a server answers. If it should, it has thirty seconds; if not, one. */
export function talks(
  from: Sandbox,
  address: string,
  port: number,
  wanted: boolean,
  protocol: 'tcp' | 'udp' = 'tcp',
): boolean {
  // NB: bash reads byte by byte, so all but the first byte of a datagram is lost.
  const script = `exec 3<>/dev/${protocol}/${address}/${port} && echo hello >&3 && read -r -N 1 -t ${wanted ? 30 : 1} -u 3 first && [[ $first == h ]]`;
  try {
    execFileSync('nsenter', [`--net=${from.path}`, 'timeout', wanted ? '30' : '1', 'bash', '-c', script], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

/** A connection that stays open. */
export class Connection {
  readonly #client: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;

  constructor(t: Pick<ExecutionContext, 'teardown'>, from: Sandbox, address: string, port: number) {
    const script = `exec 3<>/dev/tcp/${address}/${port} || exit 1; while read -r wait word; do echo $word >&3; read -r -t $wait -u 3 line && echo $line || echo nothing; done`;
    this.#client = spawn('nsenter', [`--net=${from.path}`, 'bash', '-c', script]);
    this.#client.stdin.on('error', () => {}); // it has ended, so it will not answer
    this.#lines = createInterface(this.#client.stdout);
    t.teardown(() => this.#client.kill('SIGKILL'));
  }

  /** Sends a word. @returns the word if it comes back in time, else `nothing` */
  async say(word: string, seconds: number): Promise<string> {
    const line = once(this.#lines, 'line');
    this.#client.stdin.write(`${seconds} ${word}\n`);
    return ((await line) as [string])[0];
  }
}
