/** Output that nobody takes: who reads has gone, as with `netloom inspect | head`, or the disk is full. */
import { isBroken } from '../ffi/poll.ts';
import { EXIT } from './errors.ts';

/** What a shell sees of a program that SIGPIPE has ended, as most programs are. The runtime has it ignored. */
const SIGPIPE_STATUS = 128 + 13;

const STDOUT = 1;

/** For who goes on without ever coming back to the event loop, where it would be told. */
export function endIfNobodyReads(): void {
  if (isBroken(STDOUT)) process.exit(SIGPIPE_STATUS);
}

/** NB: told when the command is over, or waits: all that it was to do is done by then. */
export function endWhereNobodyReads(): void {
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') process.exit(SIGPIPE_STATUS);
    process.stderr.write(`netloom: Cannot write the answer: ${message}\n`);
    process.exit(EXIT.failed);
  });
  process.stderr.on('error', () => {});
}
