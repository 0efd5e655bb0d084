import { buildCommand, type CommandContext } from '@stricli/core';
import { explainNetwork, explainTarget } from '../../inspect/explain.ts';
import { openTarget } from '../../runtime/target.ts';
import { networkNames, sandboxNames } from '../completion.ts';
import { TARGETS } from '../connect/targets.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag } from '../print.ts';
import { isPlanned, type PlanFlags, planFlags, printRehearsal } from './flags.ts';

const NETWORK = 'network:';

export const explainCommand = buildCommand({
  docs: {
    brief: 'Show the ip, nft and sysctl commands that connect a container',
    fullDescription: `Prints the steps that connect TARGET as it is now, from nothing; or with
network:NAME the steps that attach a container to that network. netloom finds
them by carrying them out in a namespace that plays this host; the host itself
is not changed. What plugins of others do is not known.

--script prints a bash script that does the same without netloom. To connect
another namespace with it, set the variable CONTAINER to the path of that one.

The commands connect, run, sandbox create and network create have --plan and
--script too.

${TARGETS}

Examples:
  netloom explain web
  netloom explain --script docker:app > wire.sh
  netloom explain network:demo`,
  },
  parameters: {
    flags: { ...planFlags, json: jsonFlag },
    positional: {
      kind: 'tuple',
      parameters: [
        {
          parse: String,
          proposeCompletions: (partial: string) => [
            ...sandboxNames(partial),
            ...networkNames(partial.startsWith(NETWORK) ? partial.slice(NETWORK.length) : '').map(
              (name) => NETWORK + name,
            ),
          ],
          placeholder: 'TARGET',
          brief: 'What to explain; or network:NAME',
        },
      ],
    },
  },
  func(this: CommandContext, flags: PlanFlags & { readonly json: boolean }, words: string) {
    isPlanned(flags);
    const context = runtimeContext();
    if (words.startsWith(NETWORK)) {
      const name = words.slice(NETWORK.length);
      const title = `What attaching a container to the network "${name}" does`;
      return printRehearsal(this, explainNetwork(context, name), flags, title, '/run/netns/container');
    }
    using target = openTarget(context, words, { shared: true });
    printRehearsal(
      this,
      explainTarget(context, target),
      flags,
      `Connects ${target.words} as it is now, from nothing; stops where a part of it exists already`,
      target.netns.path,
    );
  },
});
