/** What every failure of netloom carries besides its message. */
export interface ErrorDetails {
  /** What the reader can do about it. */
  readonly hint?: string;
  /** The evidence: the kernel's sentence, the equivalent command, the file's line. */
  readonly details?: string;
  readonly cause?: unknown;
}

/**
 * The one error family. The code says what happened in a word that a program can act on: an errno's name for what the
 * kernel refused (`EEXIST`), a word of ours otherwise (`invalid-config`). The message names the action, the thing and
 * the state, in one sentence without a full stop.
 */
export class NetloomError extends Error {
  override readonly name: string = 'NetloomError';
  readonly code: string;
  readonly hint: string | undefined;
  readonly details: string | undefined;

  constructor(code: string, message: string, more: ErrorDetails = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.hint = more.hint;
    this.details = more.details;
  }
}

/** Whether an error is of the family and carries one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): error is NetloomError {
  return error instanceof NetloomError && codes.includes(error.code);
}

/** Runs an action, and takes errors with these codes for success: what was to be removed is gone already, say. */
export function ignoring(codes: readonly string[], action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!hasCode(error, ...codes)) throw error;
  }
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * All errors in the order in which they happened: an undo that fails too wraps the first error in a SuppressedError
 * (ECMAScript, explicit resource management).
 */
export function errorsOf(error: unknown): [first: unknown, ...later: unknown[]] {
  if (!(error instanceof Error && 'suppressed' in error && 'error' in error)) return [error];
  return [...errorsOf(error.suppressed), error.error];
}
