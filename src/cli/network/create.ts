import { buildCommand, type CommandContext } from '@stricli/core';
import { Cidr } from '../../net/cidr.ts';
import { Ip } from '../../net/ip.ts';
import { DRIVER_NAMES, DRIVERS, type Driver, type DriverName } from '../../runtime/network/driver.ts';
import { createNetwork, plannedNetwork } from '../../runtime/network/store.ts';
import { runtimeContext } from '../context.ts';
import { isPlanned, type PlanFlags, planFlags } from '../explain/flags.ts';
import { jsonFlag, printJson } from '../print.ts';
import { describe } from './describe.ts';

interface Flags extends PlanFlags {
  readonly driver: DriverName;
  readonly subnet?: readonly Cidr[];
  readonly ipRange?: readonly Cidr[];
  readonly gateway?: readonly Ip[];
  readonly ipv6: boolean;
  readonly internal: boolean;
  readonly opt?: readonly string[];
  readonly json: boolean;
}

const list = { kind: 'parsed', optional: true, variadic: true } as const;

export const createCommand = buildCommand({
  docs: {
    brief: 'Create a network',
    fullDescription: `Creates a network: a conflist in /etc/cni/net.d, where container runtimes find
it too. Links are made when the first container is connected.

Without --subnet a free one is chosen: an IPv4 /24 (overlay: /16) from 10.90.0.0
on that no route, address or network of this host uses. Create an overlay on
each of its hosts, with the same --subnet.

Drivers, and their options (-o NAME=VALUE), with defaults in parentheses:
${Object.entries(DRIVERS)
  .map(([name, { about, options }]) => `  ${name.padEnd(8)} ${about}\n${optionsOf(options)}`)
  .join('\n')}

Examples:
  netloom network create web
  netloom network create --subnet 10.20.0.0/24 --ip-range 10.20.0.128/25 --ipv6 --internal db
  netloom network create --driver macvlan --subnet 192.168.1.0/24 --gateway 192.168.1.1 -o parent=eth0 lan
  netloom network create --driver overlay --subnet 10.20.0.0/16 -o path=/srv/lab lab`,
  },
  parameters: {
    flags: {
      driver: { kind: 'enum', values: DRIVER_NAMES, default: 'bridge', brief: 'Kind of the network' },
      subnet: {
        ...list,
        parse: Cidr.parse,
        placeholder: 'CIDR',
        brief: 'Subnet, one per family; default: a free IPv4 one',
      },
      ipRange: {
        ...list,
        parse: Cidr.parse,
        placeholder: 'CIDR',
        brief: 'Part of the subnet to give addresses from',
      },
      gateway: {
        ...list,
        parse: Ip.parse,
        placeholder: 'IP',
        brief: 'Gateway; default: the first address',
      },
      ipv6: { kind: 'boolean', default: false, brief: 'Both IPv4 and IPv6; default: free subnets' },
      internal: { kind: 'boolean', default: false, brief: 'No way out of the network' },
      opt: { ...list, parse: String, placeholder: 'NAME=VALUE', brief: 'Option of the driver, see above' },
      ...planFlags,
      json: jsonFlag,
    },
    aliases: { d: 'driver', o: 'opt' },
    positional: { kind: 'tuple', parameters: [{ parse: String, placeholder: 'NAME', brief: 'Name of the network' }] },
  },
  func(this: CommandContext, { subnet, ipRange, gateway, opt, json, plan, script, ...rest }: Flags, name: string) {
    const context = runtimeContext();
    const options = {
      ...rest,
      subnets: subnet ?? [],
      ipRanges: ipRange ?? [],
      gateways: gateway ?? [],
      options: opt ?? [],
    };
    if (isPlanned({ plan, script })) {
      const { file, text } = plannedNetwork(context, name, options);
      this.process.stdout.write(script ? scriptOf(file, text) : `Write "${file}":\n\n${text}`);
      return;
    }
    const network = createNetwork(context, name, options);
    const { driver, subnets } = describe(context, network);
    if (json) printJson(this, describe(context, network));
    else this.process.stdout.write(`network ${name}: ${driver} ${subnets.join(' ')}, in ${network.file}\n`);
  },
});

/** Without docker's long names, which are synonyms. */
function optionsOf(options: Driver['options']): string {
  return Object.entries(options)
    .filter(([option]) => !option.includes('.'))
    .map(([option, { about }]) => `      ${option.padEnd(13)}  ${about}`)
    .join('\n');
}

/** A network is only a file: its links are made with its first container. */
function scriptOf(file: string, text: string): string {
  return `#!/bin/bash
set -euo pipefail
mkdir -p '${file.slice(0, file.lastIndexOf('/'))}'
cat > '${file}' <<'EOF'
${text}EOF
`;
}
