/**
 * How a node stands with a store that its agent talks to: what an ADD waits for, in words for people. The data plane
 * does not depend on it.
 */
import { NetloomError } from '../error.ts';
import { makeDirectories, replaceText, tryReadText } from '../ffi/file.ts';
import { fnv1a } from '../fnv.ts';
import type { Paths } from '../paths.ts';
import type { Membership } from './membership.ts';

export interface Standing {
  /** What the agent is doing, or what keeps it from joining. */
  readonly message: string;
  /** The code of the error with which the store has refused this machine: waiting would not help. */
  readonly refusal?: string;
}

/** The errors that keep a machine out until somebody changes something. */
const REFUSALS = ['name-taken', 'address-exhausted', 'invalid-config'];

/** NB: it holds for one configuration only. What was said of another one is ignored. */
export function readStanding(paths: Paths, of: Membership): Standing | undefined {
  const text = tryReadText(fileOf(paths, of));
  if (text === undefined) return undefined;
  try {
    const { of: said, message, refusal } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (said !== printOf(of) || typeof message !== 'string') return undefined;
    return { message, ...(typeof refusal === 'string' && { refusal }) };
  } catch {
    return undefined; // damaged: as if there were none, the agent says it again
  }
}

export function writeStanding(paths: Paths, of: Membership, { message, refusal }: Standing): void {
  makeDirectories(`${paths.run}/overlay`);
  replaceText(fileOf(paths, of), `${JSON.stringify({ of: printOf(of), message, refusal })}\n`);
}

/** What an error means for an ADD that waits. */
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
