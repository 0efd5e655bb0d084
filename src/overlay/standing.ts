/**
 * How a node stands with a store that its agent speaks to: what an ADD waits for, for people to read. It decides
 * nothing of the data plane.
 */
import { NetloomError } from '../error.ts';
import { makeDirectories, replaceText, tryReadText } from '../ffi/file.ts';
import { fnv1a } from '../fnv.ts';
import type { Paths } from '../paths.ts';
import type { Membership } from './membership.ts';

export interface Standing {
  /** What the agent does, or what keeps it from it. */
  readonly message: string;
  /** The code of the error with which the store has refused this machine: waiting would not help. */
  readonly refusal?: string;
}

/** What keeps a machine out until somebody changes something. */
const REFUSALS = ['name-taken', 'address-exhausted', 'invalid-config'];

/** NB: by the configuration. What was said of another one counts for nothing. */
export function readStanding(paths: Paths, of: Membership): Standing | undefined {
  const text = tryReadText(fileOf(paths, of));
  if (text === undefined) return undefined;
  try {
    const { of: said, message, refusal } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (said !== printOf(of) || typeof message !== 'string') return undefined;
    return { message, ...(typeof refusal === 'string' && { refusal }) };
  } catch {
    return undefined; // damaged: as good as none, the agent says it again
  }
}

export function writeStanding(paths: Paths, of: Membership, { message, refusal }: Standing): void {
  makeDirectories(`${paths.run}/overlay`);
  replaceText(fileOf(paths, of), `${JSON.stringify({ of: printOf(of), message, refusal })}\n`);
}

/** What an error means for who waits. */
export function standingOf(error: unknown): Standing {
  const message = error instanceof Error ? error.message : String(error);
  const refusal = error instanceof NetloomError && REFUSALS.includes(error.code) ? error.code : undefined;
  return { message, ...(refusal !== undefined && { refusal }) };
}

function fileOf({ run }: Paths, { network }: Membership): string {
  return `${run}/overlay/${network}.standing.json`;
}

function printOf(of: Membership): string {
  return fnv1a(JSON.stringify(of));
}
