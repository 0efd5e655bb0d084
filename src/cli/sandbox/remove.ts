import { buildCommand, type CommandContext } from '@stricli/core';
import { removeSandbox } from '../../runtime/sandbox/remove.ts';
import { sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson } from '../print.ts';

export const removeCommand = buildCommand({
  docs: {
    brief: 'Remove sandboxes',
    fullDescription:
      'Takes away the networks of a sandbox, then its namespace, also where its record is damaged or gone. Refused while processes run in it.\n\nExample: netloom sandbox rm db',
  },
  parameters: {
    flags: { force: { kind: 'boolean', default: false, brief: 'Kill what runs in it' }, json: jsonFlag },
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
