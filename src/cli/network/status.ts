import { buildCommand, type CommandContext } from '@stricli/core';
import { statusChain } from '../../runtime/chain.ts';
import { findNetwork } from '../../runtime/conf-directory.ts';
import { networkNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson } from '../print.ts';

export const statusCommand = buildCommand({
  docs: {
    brief: 'Ask whether a network can take a container now',
    fullDescription: `Asks whether a network can take a container now: calls STATUS of each plugin.

Exit status: 0 if all of them are ready, 1 if one is not.

Example: netloom network status web`,
  },
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, proposeCompletions: networkNames, placeholder: 'NAME', brief: 'Name of the network' },
      ],
    },
  },
  func(this: CommandContext, { json }: { readonly json: boolean }, name: string) {
    const context = runtimeContext();
    statusChain(context, findNetwork(context.paths.conf, name).list);
    if (json) printJson(this, { name, ready: true });
    else this.process.stdout.write(`${name} is ready\n`);
  },
});
