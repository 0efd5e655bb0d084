/**
 * The messages between shim and agent. docs/agent.md has the whole protocol; native/shim.c is the other side.
 *
 * The shim begins: u32 magic, u32 umask, strings that end with NUL (the build, the plugin type, the environment, an
 * empty one), then stdin. With it come two open files: the shim's network namespace and its directory. The agent
 * answers with frames, one a message: a letter, and the content that belongs to it.
 */
import type { Environment } from '../cni/environment.ts';

/** The longest request, in bytes. For a longer one the shim executes netloom-cni. */
export const REQUEST_MAX = 128 << 10;
/** How much of an output goes into one frame, in bytes. */
export const PART_MAX = 32 << 10;

const MAGIC = 0x316d6c6e; // "nlm1"
const HEAD = 8;

/** The letters of the agent's frames. */
export const FRAME = {
  /** The call begins: from here on the shim does not execute netloom any more. */
  ACCEPTED: 'A',
  /** The call does not begin; the reason follows. */
  DECLINED: 'D',
  /** A part of stdout, to be kept. */
  STDOUT: 'o',
  /**
   * An exit status, and the last part of stdout: print what was kept and this, and end with that status. The shim
   * answers whether it could.
   */
  PRINT: 'p',
  /** A part of stderr, to be printed at once. */
  STDERR: 'e',
  /** The end without output, with the exit status. */
  EXIT: 'x',
  /** The call is given up, and undone: what the shim prints from here on is no success. */
  GIVEN_UP: 'w',
} as const;

export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

/** The length of the shim's one answer: the letter k in a word, then an errno or 0. */
export const PRINTED_LENGTH = 8;
const PRINTED = 0x6b;

/**
 * Sent before the agent stops listening to a shim. An agent that dies does not send it, and has not undone what was
 * printed.
 */
export const GIVEN_UP: Uint8Array = Uint8Array.of(FRAME.GIVEN_UP.charCodeAt(0));

export interface Request {
  readonly build: string;
  readonly type: string;
  readonly umask: number;
  readonly environment: Environment;
  readonly stdin: string;
}

const decoder = new TextDecoder();

/** @returns undefined for what is no request */
export function readRequest(bytes: Uint8Array): Request | undefined {
  if (bytes.length < HEAD) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) return undefined;
  const strings: string[] = [];
  for (let at = HEAD; ; ) {
    const end = bytes.indexOf(0, at);
    if (end < 0) return undefined;
    const text = decoder.decode(bytes.subarray(at, end));
    at = end + 1;
    if (text !== '') {
      strings.push(text);
      continue;
    }
    const [build, type, ...variables] = strings;
    if (build === undefined || type === undefined) return undefined;
    const umask = view.getUint32(4, true) & 0o777;
    return { build, type, umask, environment: environmentOf(variables), stdin: decoder.decode(bytes.subarray(at)) };
  }
}

/** NB: the first of two with one name counts, as for getenv(3). */
function environmentOf(variables: readonly string[]): Environment {
  const environment: Record<string, string> = Object.create(null);
  for (const variable of variables) {
    const end = variable.indexOf('=');
    if (end > 0) environment[variable.slice(0, end)] ??= variable.slice(end + 1);
  }
  return environment;
}

export function frame(kind: FrameKind, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + content.length);
  bytes[0] = kind.charCodeAt(0);
  bytes.set(content, 1);
  return bytes;
}

/** The errno in the shim's answer, 0 where it could print; undefined for what is no answer. */
export function readPrinted(bytes: Uint8Array): number | undefined {
  if (bytes.length !== PRINTED_LENGTH || bytes[0] !== PRINTED) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(4, true);
}
