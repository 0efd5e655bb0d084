/** How the command line reports failures, and its exit statuses (docs/cli.md). */
import { ArgumentScannerError, text_en } from '@stricli/core';
import { errorsOf, hasCode, messageOf, NetloomError } from '../error.ts';
import { libc } from '../ffi/libc.ts';
import { misunderstood, noSuchCommand } from './misunderstood.ts';

/**
 * Success; failure; a command line that was not understood; no agent runs (as in systemctl). A command that runs
 * another program returns that program's status.
 */
export const EXIT = { ok: 0, failed: 1, usage: 2, notRunning: 3 } as const;

/** The texts of stricli, with our own for failures: one sentence, then details, without a stack trace. */
export const text = {
  ...text_en,
  briefs: {
    ...text_en.briefs,
    help: 'Print this help and exit',
    version: 'Print the version and exit',
    argumentEscapeSequence: 'End of the options: the rest are arguments',
  },
  keywords: { ...text_en.keywords, default: 'default:' },
  exceptionWhileParsingArguments: (error: unknown) =>
    error instanceof ArgumentScannerError ? `netloom: ${misunderstood(error)}` : sentencesOf(error),
  exceptionWhileRunningCommand: (error: unknown) => sentencesOf(error),
  noCommandRegisteredForInput: ({ input, corrections }: Parameters<typeof text_en.noCommandRegisteredForInput>[0]) =>
    `netloom: ${noSuchCommand(input, corrections)}`,
} satisfies typeof text_en;

/** Node's own error for a refused system call: it names the call and the file, and is not a fault of netloom. */
function isOfSystem(error: Error): boolean {
  return 'syscall' in error && 'code' in error;
}

/** `netloom: MESSAGE`, then indented lines: details, a hint, and what failed while the first failure was undone. */
export function sentencesOf(thrown: unknown): string {
  const [error, ...later] = errorsOf(thrown);
  const lines = [`netloom: ${messageOf(error)}`];
  if (error instanceof NetloomError) {
    if (error.details !== undefined) lines.push(`  ${error.details}`);
    if (error.hint !== undefined) lines.push(`  ${error.hint}`);
    else if (hasCode(error, 'EACCES', 'EPERM') && libc.geteuid() !== 0)
      lines.push('  this needs root: run it with sudo');
  } else if (error instanceof Error && !isOfSystem(error)) {
    lines.push('  This is a fault of netloom, please report it:', `  ${error.stack ?? ''}`);
  }
  for (const failure of later) lines.push(`  and undoing it failed: ${messageOf(failure)}`);
  return lines.join('\n');
}
