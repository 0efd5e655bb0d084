import { buildCommand, type CommandContext } from '@stricli/core';
import { explainAdd } from '../../inspect/explain.ts';
import { Ip } from '../../net/ip.ts';
import { parseMac } from '../../net/mac.ts';
import { findNetwork } from '../../runtime/conf-directory.ts';
import { connect, plannedEndpoint } from '../../runtime/connect.ts';
import { parseIfname } from '../../runtime/ifname.ts';
import type { PortMapping } from '../../runtime/ports.ts';
import { openTarget } from '../../runtime/target.ts';
import { networkNames, sandboxNames } from '../completion.ts';
import { runtimeContext } from '../context.ts';
import { isPlanned, type PlanFlags, planFlags, printRehearsal } from '../explain/flags.ts';
import { jsonFlag, printJson } from '../print.ts';
import { sandboxFlags } from '../sandbox/flags.ts';
import { describeConnected, wordsOfConnected } from './describe.ts';
import { TARGETS } from './targets.ts';

interface Flags extends PlanFlags {
  readonly ifname?: string;
  readonly ip?: readonly Ip[];
  readonly mac?: string;
  readonly publish?: readonly (readonly PortMapping[])[];
  readonly shared: boolean;
  readonly json: boolean;
}

export const connectCommand = buildCommand({
  docs: {
    brief: 'Connect a running container, process or namespace to a network',
    fullDescription: `Adds an interface on the network NET to TARGET while it runs. Repeat it for
other networks. A second interface on the same network must be named with
--ifname.

${TARGETS}

Examples:
  netloom connect web docker:app -p 8080:80
  netloom connect db app --ip 10.90.1.20 --ifname db0
  netloom connect web pid:4711
  netloom connect web docker:app --script`,
  },
  parameters: {
    flags: {
      ifname: {
        kind: 'parsed',
        optional: true,
        parse: parseIfname,
        placeholder: 'NAME',
        brief: 'Name of the interface; default: the first free ethN',
      },
      ip: {
        kind: 'parsed',
        optional: true,
        variadic: true,
        parse: Ip.parse,
        placeholder: 'IP',
        brief: 'Address to use, one per family; default: a free one',
      },
      mac: { kind: 'parsed', optional: true, parse: parseMac, placeholder: 'MAC', brief: 'MAC address to use' },
      publish: sandboxFlags.publish,
      shared: { kind: 'boolean', default: false, brief: 'Connect TARGET even if others share its namespace' },
      ...planFlags,
      json: jsonFlag,
    },
    aliases: { p: 'publish' },
    positional: {
      kind: 'tuple',
      parameters: [
        {
          parse: String,
          proposeCompletions: networkNames,
          placeholder: 'NET',
          brief: 'Network to join, see "netloom network ls"',
        },
        { parse: String, proposeCompletions: sandboxNames, placeholder: 'TARGET', brief: 'What to connect' },
      ],
    },
  },
  func(
    this: CommandContext,
    { ifname, ip = [], mac, publish = [], shared, json, ...how }: Flags,
    network: string,
    words: string,
  ) {
    const context = runtimeContext();
    findNetwork(context.paths.conf, network); // Before any engine is asked, so that a typing error is reported at once.
    using target = openTarget(context, words, { shared });
    const asked = { ifname, ips: ip.map(String), mac, ports: publish.flat() };
    if (isPlanned(how)) {
      const rehearsal = explainAdd(context, [plannedEndpoint(context, network, target, asked)]);
      const title = `What "netloom connect ${network} ${words}" does`;
      return printRehearsal(this, rehearsal, { ...how, json }, title, target.netns.path);
    }
    const made = connect(context, network, target, asked);
    if (json) printJson(this, describeConnected(made));
    else this.process.stdout.write(`${wordsOfConnected(made)}\n`);
  },
});
