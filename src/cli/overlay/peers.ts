/** `netloom overlay peers`: the nodes of each overlay. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { overlayConfs } from '../../agent/overlays.ts';
import { lastSeen } from '../../overlay/file-store.ts';
import { intentOf } from '../../plugins/overlay/intent.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson, printTable } from '../print.ts';

export const peersCommand = buildCommand({
  docs: {
    brief: 'List the nodes of overlays',
    fullDescription:
      'This machine is the first of each. When a node was last seen is known of those in a directory whose agent runs; it decides nothing.\n\nExample: netloom overlay peers --json',
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { json: boolean }) {
    const { paths, warn } = runtimeContext();
    using nl = openRoute();
    const rows = overlayConfs(paths).flatMap((conf) => {
      const { own, peers } = intentOf(nl, { conf, paths, warn }, false);
      return [own, ...peers].map((node) => {
        const seen = conf.store.type === 'file' ? lastSeen(conf.store.path ?? '', node) : undefined;
        const { name, address, subnet } = node;
        return {
          network: conf.name,
          node: name,
          address: `${address}`,
          prefix: `${subnet}`,
          isThis: node === own,
          ...(seen !== undefined && { secondsSinceSeen: Math.max(0, Math.round((Date.now() - seen) / 1000)) }),
        };
      });
    });
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
