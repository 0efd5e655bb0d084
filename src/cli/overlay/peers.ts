/** `netloom overlay peers`: the nodes of each overlay. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { overlayConfs } from '../../agent/overlays.ts';
import { messageOf } from '../../error.ts';
import { silenceOf, timeOf } from '../../overlay/file-store.ts';
import type { OverlayNode } from '../../overlay/network.ts';
import { checkConf, type NodeSource } from '../../plugins/overlay/conf.ts';
import { intentOf } from '../../plugins/overlay/intent.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson, printTable } from '../print.ts';

export const peersCommand = buildCommand({
  docs: {
    brief: 'List the nodes of overlays',
    fullDescription: `Lists the nodes of each overlay, this machine first. SEEN is known for nodes in
a directory or in etcd whose agent runs. A node that has not been seen for long
is still a node: only "netloom overlay reclaim" removes it.

Example: netloom overlay peers --json`,
  },
  parameters: { flags: { json: jsonFlag } },
  async func(this: CommandContext, { json }: { json: boolean }) {
    const { paths, warn } = runtimeContext();
    using nl = openRoute();
    const lists = overlayConfs(paths).map(async (conf) => {
      const { own, peers } = intentOf(nl, { conf, paths, warn }, false);
      const silenceOf = await silencesOf(checkConf(conf).source, warn);
      return [own, ...peers].map((node) => {
        const silence = silenceOf(node);
        const { name, address, subnet } = node;
        return {
          network: conf.name,
          node: name,
          address: `${address}`,
          prefix: `${subnet}`,
          isThis: node === own,
          ...(silence !== undefined && { secondsSinceSeen: Math.round(silence) }),
        };
      });
    });
    const rows = (await Promise.all(lists)).flat();
    if (json) printJson(this, rows);
    else {
      printTable(
        this,
        ['NETWORK', 'NODE', 'ADDRESS', 'PREFIX', 'SEEN'],
        rows.map(({ network, node, address, prefix, isThis, secondsSinceSeen }) => [
          network,
          node,
          address,
          prefix,
          isThis ? 'this machine' : secondsSinceSeen === undefined ? '-' : `${secondsSinceSeen} s ago`,
        ]),
      );
    }
  },
});

/** For each node, the seconds since it was last seen, where its store knows. */
async function silencesOf(
  source: NodeSource,
  warn: (message: string) => void,
): Promise<(node: OverlayNode) => number | undefined> {
  if ('file' in source) {
    const { path } = source.file;
    const now = timeOf(path);
    if (now === undefined) return () => undefined;
    return (node) => {
      const silence = silenceOf(path, node, now);
      return silence === undefined ? undefined : silence / 1000;
    };
  }
  if ('nodes' in source) return () => undefined;
  try {
    const { withRegistry } = await import('../../overlay/etcd/with-registry.ts');
    const silences = await withRegistry(source.etcd, (registry) => registry.silences());
    return ({ name }) => silences.get(name);
  } catch (error) {
    warn(messageOf(error));
    return () => undefined;
  }
}
