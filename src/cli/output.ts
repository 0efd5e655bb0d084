/** Output that cannot be written: its reader is gone, as in `netloom inspect | head`, or the disk is full. */
import { isBroken } from '../ffi/poll.ts';
import { EXIT } from './errors.ts';

/**
 * The status that a shell reports for a program ended by SIGPIPE, as most programs would be. The runtime ignores that
 * signal.
 */
const SIGPIPE_STATUS = 128 + 13;

const STDOUT = 1;

/** For commands that never return to the event loop, which would report it. */
export function endIfNobodyReads(): void {
  if (isBroken(STDOUT)) process.exit(SIGPIPE_STATUS);
}

/** NB: reported when the command has ended or waits, so its work is done by then. */
export function endWhereNobodyReads(): void {
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') process.exit(SIGPIPE_STATUS);
    process.stderr.write(`netloom: Cannot write the answer: ${message}\n`);
    process.exit(EXIT.failed);
  });
  process.stderr.on('error', () => {});
}
