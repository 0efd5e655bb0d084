import { buildCommand, type CommandContext } from '@stricli/core';
import { findSandbox } from '../../runtime/sandbox/store.ts';
import { sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { sentencesOf } from '../errors.ts';
import { EXEC_EXIT, execute } from './execute.ts';

export const execCommand = buildCommand({
  docs: {
    brief: 'Run a command in an existing sandbox',
    fullDescription: `Runs CMD in a sandbox: with its network, its /etc/resolv.conf and /etc/hosts,
and otherwise the files of this machine.

Exit status: that of CMD; 128 + N if signal N ended it; 127 if there is no such
command; 126 if it cannot be executed; 125 if netloom failed.

Example: netloom exec site ip route`,
    customUsage: ['<SANDBOX> <CMD> [ARG]...'],
  },
  parameters: {
    positional: {
      kind: 'array',
      minimum: 2,
      parameter: {
        parse: String,
        proposeCompletions: sandboxNames,
        placeholder: 'SANDBOX CMD',
        brief: 'Name of the sandbox, then the command and its arguments',
      },
    },
  },
  async func(this: CommandContext, _flags: object, name: string, ...command: string[]) {
    const context = runtimeContext();
    try {
      process.exitCode = await execute(context, findSandbox(context, name), command);
    } catch (error) {
      process.stderr.write(`${sentencesOf(error)}\n`);
      process.exitCode = EXEC_EXIT.failed;
    }
  },
});
