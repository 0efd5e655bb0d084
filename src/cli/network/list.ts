import { buildCommand, type CommandContext } from '@stricli/core';
import { readNetworks } from '../../runtime/conf-directory.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson, printTable } from '../print.ts';
import { describe } from './describe.ts';

export const listCommand = buildCommand({
  docs: {
    brief: 'List networks',
    fullDescription: `Lists the networks: every conflist in /etc/cni/net.d, no matter who wrote it.
Files that cannot be read are reported on stderr. ATTACHED is the number of
interfaces.

Example: netloom network ls --json`,
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { json: boolean }) {
    const context = runtimeContext();
    const { networks, faults } = readNetworks(context.paths.conf);
    for (const { file, message } of faults) context.warn(`passed over "${file}": ${message}`);
    const rows = networks.map((network) => describe(context, network));
    if (json) printJson(this, rows);
    else {
      printTable(
        this,
        ['NAME', 'DRIVER', 'SUBNETS', 'ATTACHED', 'FILE'],
        rows.map(({ name, driver, subnets, attached, file }) => [
          name,
          driver,
          subnets.join(' ') || '-',
          String(attached.length),
          file,
        ]),
      );
    }
  },
});
