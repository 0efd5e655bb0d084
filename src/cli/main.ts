/** The command line, for people. */
import { buildApplication, run } from '@stricli/core';
import { commands } from './commands.ts';
import { COMPLETE, complete } from './completion.ts';
import { EXIT, text } from './errors.ts';
import { endWhereNobodyReads } from './output.ts';
import { showProgress } from './progress.ts';
import { VERSION } from './version.ts';
import { meantBy } from './words.ts';

const application = buildApplication(commands, {
  name: 'netloom',
  versionInfo: { currentVersion: VERSION },
  scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
  documentation: {
    caseStyle: 'convert-camel-to-kebab',
    useAliasInUsageLine: false,
    // https://no-color.org: set and not empty. Stricli itself checks whether the stream is a terminal.
    disableAnsiColor: (process.env['NO_COLOR'] ?? '') !== '',
  },
  localization: { text },
});

/** Runs one command. Sets the process's exit status. */
export async function main(args: readonly string[]): Promise<void> {
  const [first, ...rest] = args;
  if (first === COMPLETE) return complete(application, rest);
  endWhereNobodyReads();
  const { stdout, stderr, env } = process;
  const endProgress = showProgress(args);
  await run(application, meantBy(args), {
    process: {
      stdout,
      stderr,
      env,
      // Stricli has negative statuses for usage errors, which a shell would see as 251 and the like.
      set exitCode(status: number) {
        // A command that runs another program has set that program's status.
        if (status !== 0) process.exitCode = status < 0 ? EXIT.usage : status;
      },
    },
  });
  endProgress();
}
