import { buildCommand, type CommandContext } from '@stricli/core';
import { disconnect } from '../../runtime/connect.ts';
import { parseIfname } from '../../runtime/ifname.ts';
import { wordsOf } from '../../runtime/target.ts';
import { networkNames, sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson } from '../print.ts';
import { TARGETS } from './targets.ts';

interface Flags {
  readonly ifname?: string;
  readonly json: boolean;
}

export const disconnectCommand = buildCommand({
  docs: {
    brief: 'Disconnect a container, process or namespace from a network',
    fullDescription: `Removes the interfaces that "netloom connect" or "netloom run" has made for
TARGET on the network NET, with their addresses and published ports. TARGET may
have ended since.

${TARGETS}

Examples:
  netloom disconnect web docker:app
  netloom disconnect web app --ifname eth1`,
  },
  parameters: {
    flags: {
      ifname: {
        kind: 'parsed',
        optional: true,
        parse: parseIfname,
        placeholder: 'NAME',
        brief: 'Only this interface; default: all on NET',
      },
      json: jsonFlag,
    },
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, proposeCompletions: networkNames, placeholder: 'NET', brief: 'Network to leave' },
        { parse: String, proposeCompletions: sandboxNames, placeholder: 'TARGET', brief: 'What to disconnect' },
      ],
    },
  },
  func(this: CommandContext, { ifname, json }: Flags, network: string, words: string) {
    const gone = disconnect(runtimeContext(), words, { network, ifname });
    if (json)
      printJson(
        this,
        gone.map((record) => ({ network, target: wordsOf(record.target), ifname: record.ifname })),
      );
    else {
      for (const { target, ifname: taken } of gone) {
        this.process.stdout.write(`${wordsOf(target)}  ${taken} is off ${network}\n`);
      }
    }
  },
});
