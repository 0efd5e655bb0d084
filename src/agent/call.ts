/**
 * One call on the agent's side: it serves the shim's request as if the plugin had been executed in the caller's place.
 */
import type { Environment } from '../cni/environment.ts';
import { checkNetns } from '../cni/netns.ts';
import { type ServeIo, serve } from '../cni/serve.ts';
import { hasCode, NetloomError } from '../error.ts';
import { systemError } from '../ffi/errno.ts';
import type { Fd } from '../ffi/file.ts';
import { enterDirectory, setUmask } from '../ffi/thread.ts';
import { type Connection, hangUp } from '../ffi/unix-socket.ts';
import { type AnyPlugin, plugins } from '../plugins/registry.ts';
import { BUILD } from './build.ts';
import {
  FRAME,
  type FrameKind,
  frame,
  GIVEN_UP,
  PART_MAX,
  PRINTED_LENGTH,
  type Request,
  readPrinted,
  readRequest,
} from './protocol.ts';
import type { Surroundings } from './surroundings.ts';

/** How long the shim may take when it is its turn, in seconds: to send its request, or to print. */
const TURN_LIMIT = 10;

/** What a call needs from the thread that executes it. */
export interface Thread {
  readonly surroundings: Surroundings;
  /** For requests. It is the thread's, because 128 KiB for each call would be most of its garbage. */
  readonly buffer: Uint8Array;
  /** The thread's directory between calls. */
  readonly home: Fd;
  /** Waits until it is the call's turn among those of its container. @returns false where it was given up meanwhile */
  awaitOrder(containerId: string): boolean;
  /** Called where a call was left to its caller. */
  declined(): void;
  /** Called when a call is over, and the caller has all of it or is gone. */
  ended(call: EndedCall): void;
}

/** What is counted and logged of a call. */
export interface EndedCall {
  readonly type: string;
  readonly environment: Environment;
  readonly stdin: string;
  /** The error object that was printed; undefined for success. */
  readonly failure: string | undefined;
  /** Since the request was read, in ms. */
  readonly time: number;
}

const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

/** @throws NetloomError where the caller is gone, or does not keep to the protocol */
export function handle(connection: Connection, thread: Thread): void {
  connection.limit(TURN_LIMIT);
  using received = connection.receive(thread.buffer, 2);
  const begin = performance.now();
  const [netns, directory] = received?.files ?? [];
  if (received === undefined || netns === undefined || directory === undefined) return;
  const request = readRequest(received.bytes);
  if (request === undefined) return;
  const plugin = plugins.get(request.type);
  const fault =
    plugin === undefined ? 'there is no such plugin here' : faultOf(request, connection, netns, thread.surroundings);
  if (plugin === undefined || fault !== undefined) {
    connection.send(frame(FRAME.DECLINED, encoder.encode(fault)));
    thread.declined();
    return;
  }
  // NB: where this cannot be sent, the shim has not been told, and nothing has begun.
  connection.send(frame(FRAME.ACCEPTED, NOTHING));
  if (!thread.awaitOrder(request.environment['CNI_CONTAINERID'] ?? '')) return;
  const { status, failure } = inPlaceOf(directory, request.umask, thread.home, () => run(plugin, request, connection));
  try {
    if (status !== undefined) connection.send(frame(FRAME.EXIT, Uint8Array.of(status)));
  } finally {
    const { type, environment, stdin } = request;
    thread.ended({ type, environment, stdin, failure, time: performance.now() - begin });
  }
}

/** Why a call is declined; undefined where it is not. */
function faultOf(
  { build, environment }: Request,
  connection: Connection,
  netns: Fd,
  surroundings: Surroundings,
): string | undefined {
  if (build !== BUILD) return `the agent is of the build ${BUILD}, the shim of ${build}`;
  const path = environment['CNI_NETNS'] ?? '';
  // These lead somewhere else for each process that looks.
  if (path.startsWith('/proc/self/') || path.startsWith('/proc/thread-self/') || path.startsWith('/dev/fd/')) {
    return `CNI_NETNS "${path}" is the caller's own`;
  }
  return surroundings.faultOf(connection.peer, netns);
}

function inPlaceOf<T>(directory: Fd, umask: number, home: Fd, act: () => T): T {
  enterDirectory(directory.number);
  const before = setUmask(umask);
  try {
    return act();
  } finally {
    setUmask(before);
    enterDirectory(home.number);
  }
}

interface Outcome {
  /** The exit status where the caller does not have it yet. */
  readonly status: number | undefined;
  readonly failure: string | undefined;
}

function run(plugin: AnyPlugin, request: Request, connection: Connection): Outcome {
  let isPrinted = false;
  let failure: string | undefined;
  const io = ioOf(request, connection);
  const status = serve(plugin, {
    ...io,
    writeStdout(text, exitStatus) {
      if (exitStatus !== 0) failure = text;
      io.writeStdout(text, exitStatus);
      isPrinted = true;
    },
  });
  return { status: isPrinted ? undefined : status, failure };
}

function ioOf({ environment, stdin }: Request, connection: Connection): ServeIo {
  return {
    // NB: another plugin that we execute may execute netloom itself. Through the agent, that call would wait for the
    // one that it is a part of.
    environment: { ...environment, NETLOOM_WITHIN: 'agent' },
    readStdin: () => stdin,
    writeStdout(text, status) {
      const bytes = encoder.encode(text);
      const last = Math.max(0, bytes.length - PART_MAX);
      sendParts(connection, FRAME.STDOUT, bytes.subarray(0, last));
      connection.send(frame(FRAME.PRINT, withStatus(status, bytes.subarray(last))));
      awaitPrinted(connection);
    },
    writeStderr(text) {
      try {
        sendParts(connection, FRAME.STDERR, encoder.encode(text));
      } catch {
        // Nobody listens: no reason to fail a call, and nowhere to say so.
      }
    },
    checkNetns,
  };
}

function withStatus(status: number, bytes: Uint8Array): Uint8Array {
  const both = new Uint8Array(1 + bytes.length);
  both[0] = status;
  both.set(bytes, 1);
  return both;
}

function sendParts(connection: Connection, kind: FrameKind, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += PART_MAX) connection.send(frame(kind, bytes.subarray(at, at + PART_MAX)));
}

/**
 * @throws NetloomError where the caller could not print, is gone, or was given up because nobody reads what it prints
 */
function awaitPrinted(connection: Connection): void {
  const buffer = new Uint8Array(new ArrayBuffer(PRINTED_LENGTH));
  let errno: number | undefined;
  let reason = 'the caller is gone';
  try {
    errno = printedBy(connection, buffer);
  } catch (error) {
    if (!hasCode(error, 'EAGAIN')) throw error;
    hangUp(connection.fd, GIVEN_UP);
    // NB: the caller may have printed at the last moment. If not, it knows from now on that the call is undone.
    errno = printedBy(connection, buffer);
    reason = `nobody has read it for ${TURN_LIMIT} s`;
  }
  if (errno === undefined) throw new NetloomError('io-failure', `Cannot write stdout: ${reason}`);
  if (errno !== 0) throw systemError(errno, 'write stdout');
}

/** @returns the errno of the shim's answer, or undefined where it is gone @throws NetloomError EAGAIN */
function printedBy(connection: Connection, buffer: Uint8Array): number | undefined {
  using reply = connection.receive(buffer);
  return reply && readPrinted(reply.bytes);
}
