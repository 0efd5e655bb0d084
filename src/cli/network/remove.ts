import { buildCommand, type CommandContext } from '@stricli/core';
import { removeNetwork } from '../../runtime/network/store.ts';
import { networkNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson } from '../print.ts';

export const removeCommand = buildCommand({
  docs: {
    brief: 'Remove networks',
    fullDescription: `Removes the conflist and what the network has left on this host, such as its
bridge and its leases. Refused while anything is attached to the network:
"netloom network inspect NAME" shows what is.

Example: netloom network rm web`,
  },
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: { parse: String, proposeCompletions: networkNames, placeholder: 'NAME', brief: 'Name of a network' },
    },
  },
  func(this: CommandContext, { json }: { readonly json: boolean }, ...names: string[]) {
    const context = runtimeContext();
    for (const name of names) {
      removeNetwork(context, name);
      if (!json) this.process.stdout.write(`removed ${name}\n`);
    }
    if (json)
      printJson(
        this,
        names.map((name) => ({ removed: name })),
      );
  },
});
