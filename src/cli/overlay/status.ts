/** `netloom overlay status`: the state of this machine in each overlay, and how its kernel differs from that. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { overlayConfs } from '../../agent/overlays.ts';
import { counted } from '../../counted.ts';
import { messageOf } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { isInUse } from '../../overlay/devices.ts';
import { overlayDifferences } from '../../overlay/reconcile.ts';
import { readStanding } from '../../overlay/standing.ts';
import { checkConf, type OverlayConf } from '../../plugins/overlay/conf.ts';
import { intentOf } from '../../plugins/overlay/intent.ts';
import { openRoute } from '../../rtnl/socket.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson, printTable } from '../print.ts';

export const statusCommand = buildCommand({
  docs: {
    brief: 'Show the state of this machine in each overlay',
    fullDescription: `Shows the node and prefix of this machine in each overlay, the number of other
nodes (PEERS), the MTU, and where the kernel differs from what it should have.
Nothing is changed. "no containers here" is not a fault: no devices are needed
then.

Example: netloom overlay status --json`,
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { json: boolean }) {
    const context = runtimeContext();
    using nl = openRoute();
    const rows = overlayConfs(context.paths).map((conf) => statusOf(nl, context, conf));
    if (json) {
      printJson(this, rows);
      return;
    }
    printTable(
      this,
      ['NETWORK', 'MODE', 'VNI', 'NODE', 'PREFIX', 'PEERS', 'MTU', 'STATE'],
      rows.map(({ network, mode, vni, node, prefix, peers, mtu, state }) => [
        network,
        mode,
        `${vni}`,
        node ?? '-',
        prefix ?? '-',
        `${peers ?? '-'}`,
        `${mtu ?? '-'}`,
        state,
      ]),
    );
    for (const { network, store, differences } of rows) {
      if (store !== undefined) this.process.stdout.write(`${network}: ${store}\n`);
      for (const each of differences) this.process.stdout.write(`${network}: ${each}\n`);
    }
  },
});

interface Row {
  readonly network: string;
  readonly mode: string;
  readonly vni: number;
  readonly node?: string;
  readonly prefix?: string;
  readonly peers?: number;
  readonly mtu?: number;
  readonly state: string;
  /** The state of the agent's connection to the store, if it uses one. */
  readonly store?: string;
  readonly differences: readonly string[];
}

function statusOf(nl: NetlinkSocket, { paths, warn }: RuntimeContext, conf: OverlayConf): Row {
  const { network: agreed, source } = checkConf(conf);
  const { name, mode, vni } = agreed;
  const standing = 'etcd' in source ? readStanding(paths, source.etcd) : undefined;
  const about = { network: name, mode, vni, ...(standing !== undefined && { store: `etcd: ${standing.message}` }) };
  try {
    const { own, peers, mtu, network } = intentOf(nl, { conf, paths, warn }, false);
    const more = { ...about, node: own.name, prefix: `${own.subnet}`, peers: peers.length, mtu };
    if (!isInUse(nl, name)) return { ...more, state: 'no containers here', differences: [] };
    const differences = overlayDifferences(nl, { network, own, peers, mtu });
    return { ...more, state: stateOf(differences), differences };
  } catch (error) {
    return { ...about, state: 'not available', differences: [messageOf(error)] };
  }
}

function stateOf({ length }: readonly string[]): string {
  return length === 0 ? 'complete' : counted(length, 'difference');
}
