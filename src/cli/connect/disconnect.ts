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
    brief: 'Take a wire away again',
    fullDescription: `Takes away what "netloom connect" has made, with its addresses and published ports, also of a target that has ended since. ${TARGETS}

Examples:
  netloom disconnect web docker:app
  netloom disconnect web app --ifname eth1`,
  },
  parameters: {
    flags: {
      ifname: { kind: 'parsed', optional: true, parse: parseIfname, placeholder: 'NAME', brief: 'Only this interface' },
      json: jsonFlag,
    },
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, proposeCompletions: networkNames, placeholder: 'NET', brief: 'Name of the network' },
        { parse: String, proposeCompletions: sandboxNames, placeholder: 'TARGET', brief: 'What to unwire' },
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
