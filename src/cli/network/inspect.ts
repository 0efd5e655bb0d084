import { buildCommand, type CommandContext } from '@stricli/core';
import { findNetwork } from '../../runtime/conf-directory.ts';
import { networkNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson } from '../print.ts';
import { describe } from './describe.ts';

export const inspectCommand = buildCommand({
  docs: {
    brief: 'Show networks in detail, as JSON',
    fullDescription: `Prints a JSON list with an object for each network: what "netloom network ls"
shows, the interfaces that are attached, and the conflist as runtimes get it.

Example: netloom network inspect web`,
  },
  parameters: {
    flags: { json: { ...jsonFlag, brief: 'Print JSON; it always does' } },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: { parse: String, proposeCompletions: networkNames, placeholder: 'NAME', brief: 'Name of a network' },
    },
  },
  func(this: CommandContext, _flags: object, ...names: string[]) {
    const context = runtimeContext();
    const networks = names.map((name) => findNetwork(context.paths.conf, name));
    printJson(
      this,
      networks.map((network) => ({
        ...describe(context, network),
        conflist: JSON.parse(network.list.text) as unknown,
      })),
    );
  },
});
