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
    brief: 'Tell how a container was wired, in the words of ip, nft and sysctl',
    fullDescription: `Prints the steps that make what TARGET has, from nothing, or with network:NAME what attaching a container to that network would do. With --script they are a bash script that does the same without netloom; the variable CONTAINER takes the path of another namespace. The steps are found by carrying them out in a namespace that plays this host; here nothing is done. What plugins of others do is not known.

"netloom connect" and "netloom network create" have --plan and --script, too. ${TARGETS}

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
          brief: 'Whose wiring, or network:NAME',
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
      `How ${target.words} is wired, from nothing: where some of it stands, this stops`,
      target.netns.path,
    );
  },
});
