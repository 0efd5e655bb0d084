import { buildCommand, type CommandContext } from '@stricli/core';
import { findSandbox } from '../../runtime/sandbox/store.ts';
import { sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { sentencesOf } from '../errors.ts';
import { EXEC_EXIT, execute } from './execute.ts';

export const execCommand = buildCommand({
  docs: {
    brief: 'Run a command in a sandbox that is there',
    fullDescription:
      'The command has the network of the sandbox, its /etc/resolv.conf and /etc/hosts, and the files of the machine. Exit statuses are those of "netloom run".\n\nExample: netloom exec site -- ip route',
  },
  parameters: {
    positional: {
      kind: 'array',
      minimum: 2,
      parameter: {
        parse: String,
        proposeCompletions: sandboxNames,
        placeholder: 'SANDBOX CMD',
        brief: 'Name of the sandbox, then the command, after "--"',
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
