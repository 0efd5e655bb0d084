/** `netloom overlay reclaim NETWORK NODE`: frees the prefix of a node that is gone for good. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { NetloomError } from '../../error.ts';
import { reclaim } from '../../overlay/file-store.ts';
import { nodeName } from '../../overlay/membership.ts';
import type { NodeRecord } from '../../overlay/record.ts';
import { checkConf, type NodeSource, type OverlayConf } from '../../plugins/overlay/conf.ts';
import { confOf } from './conf-of.ts';

export const reclaimCommand = buildCommand({
  docs: {
    brief: 'Free the prefix of a node that is gone for good',
    fullDescription: `Removes the record of a node that will not come back, so that another can have
its prefix. The other nodes remove their routes to it. Prefixes do not expire: a
machine that was off for a month still has its own. Refused if the node was seen
within --grace seconds.

Example: netloom overlay reclaim lab node7 --grace 3600`,
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [
        { brief: 'Name of the overlay', parse: String, placeholder: 'NETWORK' },
        { brief: 'Name of the node, see "netloom overlay peers"', parse: String, placeholder: 'NODE' },
      ],
    },
    flags: {
      grace: {
        kind: 'parsed',
        parse: seconds,
        default: '600',
        placeholder: 'SECONDS',
        brief: 'Seconds for which it must have been silent; with etcd at most 3600',
      },
    },
  },
  async func(this: CommandContext, { grace }: { grace: number }, network: string, node: string) {
    const conf = confOf(network);
    if (node === nodeName(conf)) {
      throw new NetloomError(
        'invalid-value',
        `Cannot reclaim the prefix of "${node}": it is this machine, which uses it`,
      );
    }
    const { subnet } = await reclaimFrom(checkConf(conf).source, conf, node, grace);
    this.process.stdout.write(`${subnet} is free\n`);
  },
});

async function reclaimFrom(
  source: NodeSource,
  { name }: OverlayConf,
  node: string,
  grace: number,
): Promise<NodeRecord> {
  if ('file' in source) return reclaim(source.file.path, node, grace * 1000);
  if ('etcd' in source) {
    const { withRegistry } = await import('../../overlay/etcd/with-registry.ts');
    return withRegistry(source.etcd, (registry) => registry.reclaim(node, grace));
  }
  throw new NetloomError(
    'invalid-value',
    `Cannot reclaim the prefix of "${node}": the nodes of "${name}" are listed in its conflist, remove it there`,
  );
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1e9)) throw new Error(`"${text}" is not a number of seconds`);
  return value;
}
