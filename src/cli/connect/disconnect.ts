import { buildCommand, type CommandContext } from '@stricli/core';
import { disconnect } from '../../runtime/connect.ts';
import { parseIfname } from '../../runtime/ifname.ts';
import { wordsOf } from '../../runtime/target.ts';
import { networkNames, sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { TARGETS } from './targets.ts';

export const disconnectCommand = buildCommand({
  docs: {
    brief: 'Take a wire away again',
    fullDescription: `Takes away what "netloom connect" has made, with its addresses and published ports, also of a target that has ended since. ${TARGETS}

Examples:
  netloom disconnect web docker:app
  netloom disconnect web app --ifname eth1`,
  },
  parameters: {
    flags: {
      ifname: { kind: 'parsed', optional: true, parse: parseIfname, placeholder: 'NAME', brief: 'Only this interface' },
    },
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, proposeCompletions: networkNames, placeholder: 'NET', brief: 'Name of the network' },
        { parse: String, proposeCompletions: sandboxNames, placeholder: 'TARGET', brief: 'What to unwire' },
      ],
    },
  },
  func(this: CommandContext, { ifname }: { readonly ifname?: string }, network: string, words: string) {
    for (const { target, ifname: taken } of disconnect(runtimeContext(), words, { network, ifname })) {
      this.process.stdout.write(`${wordsOf(target)}  ${taken} is off ${network}\n`);
    }
  },
});
