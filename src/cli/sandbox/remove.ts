import { buildCommand, type CommandContext } from '@stricli/core';
import { removeSandbox } from '../../runtime/sandbox/remove.ts';
import { sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson } from '../print.ts';

export const removeCommand = buildCommand({
  docs: {
    brief: 'Remove sandboxes',
    fullDescription: `Disconnects a sandbox from its networks and removes its namespace, even if its
record is damaged or gone. Refused while other sandboxes share its network, and
without --force while processes run in it.

Examples:
  netloom sandbox rm db
  netloom sandbox rm --force web db`,
  },
  parameters: {
    flags: { force: { kind: 'boolean', default: false, brief: 'Kill the processes that run in it' }, json: jsonFlag },
    aliases: { f: 'force' },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: { parse: String, proposeCompletions: sandboxNames, placeholder: 'NAME', brief: 'Name of a sandbox' },
    },
  },
  func(this: CommandContext, { force, json }: { readonly force: boolean; readonly json: boolean }, ...names: string[]) {
    const context = runtimeContext();
    for (const name of names) {
      removeSandbox(context, name, { force });
      if (!json) this.process.stdout.write(`removed ${name}\n`);
    }
    if (json)
      printJson(
        this,
        names.map((name) => ({ removed: name })),
      );
  },
});
