/**
 * Answers questions about the agent, apart from the calls: `/healthz`, `/metrics` and `/status` over HTTP, at unix
 * sockets and TCP addresses. The server is the engine's own, so that nothing has to be loaded for it.
 */
import { messageOf, NetloomError } from '../error.ts';
import { isSocket, rename, tryStat, unlink } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import { METRICS_TYPE } from './metrics.ts';
import type { Address } from './settings.ts';

/** How long a request may still take to be answered once its desk is closed, in ms. */
const GRACE = 1_000;

/** What can be asked. */
export interface Answers {
  /** Why calls are not served at this moment; undefined where they are. */
  faultOf(): string | undefined;
  metrics(): string;
  status(): unknown;
}

/** One address where questions are answered. */
export interface Desk {
  readonly name: string;
  /** Accepts no more requests. Those that are being answered have a second. */
  close(): void;
}

/** @throws Error where the address cannot be listened at */
export function openDesk(address: Address, answers: Answers): Desk {
  return 'unix' in address ? openUnix(address.unix, answers) : openTcp(address, answers);
}

/** Replaces the socket of an agent that is still running, as its successor, or of one that was killed. */
function openUnix(path: string, answers: Answers): Desk {
  const there = tryStat(path, { follow: false });
  if (there !== undefined && !isSocket(there)) throw new NetloomError('EEXIST', 'what is there is no socket');
  const beside = `${path}.${libc.getpid()}`;
  unlink(beside);
  const server = Bun.serve({ unix: beside, fetch: (request) => answer(request, answers) });
  rename(beside, path);
  const ino = tryStat(path)?.ino;
  return {
    name: `unix:${path}`,
    close() {
      if (tryStat(path)?.ino === ino) unlink(path);
      end(server);
    },
  };
}

/** NB: SO_REUSEPORT, so that a successor can begin before its predecessor has ended. */
function openTcp({ hostname, port }: Exclude<Address, { unix: string }>, answers: Answers): Desk {
  const server = Bun.serve({ hostname, port, reusePort: true, fetch: (request) => answer(request, answers) });
  return {
    name: hostname.includes(':') ? `[${hostname}]:${port}` : `${hostname}:${port}`,
    close: () => end(server),
  };
}

/**
 * NB: requests that are being answered may finish. The successor listens at the same address already, and the kernel
 * may have given a request to either.
 */
function end(server: Bun.Server<undefined>): void {
  void server.stop();
  setTimeout(() => void server.stop(true), GRACE);
}

/** NB: what is thrown here would be printed by the engine, with its source. */
function answer(request: Request, answers: Answers): Response {
  try {
    return answerTo(request, answers);
  } catch (error) {
    return text(500, `${messageOf(error)}\n`);
  }
}

function answerTo(request: Request, answers: Answers): Response {
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'only GET is answered\n');
  switch (new URL(request.url, 'http://agent').pathname) {
    case '/healthz': {
      const fault = answers.faultOf();
      return fault === undefined ? text(200, 'ok\n') : text(503, `${fault}\n`);
    }
    case '/metrics':
      return text(200, answers.metrics(), METRICS_TYPE);
    case '/status':
      return text(200, `${JSON.stringify(answers.status())}\n`, 'application/json');
    default:
      return text(404, 'there are /healthz, /metrics and /status\n');
  }
}

function text(status: number, body: string, type = 'text/plain; charset=utf-8'): Response {
  return new Response(body, { status, headers: { 'content-type': type } });
}
