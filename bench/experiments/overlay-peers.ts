/**
 * The cost of the other nodes of an overlay for one node: 5,000 of them from nothing, one that moves, a look that finds
 * nothing to do, and an agent that follows them.
 */
import { execFileSync } from 'node:child_process';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { messagesOf } from '../../src/netlink/message.ts';
import { removeDevices } from '../../src/overlay/devices.ts';
import type { Intent } from '../../src/overlay/intent.ts';
import type { OverlayNode } from '../../src/overlay/network.ts';
import { follow, reconcile } from '../../src/overlay/reconcile.ts';
import { RTM } from '../../src/rtnl/constants.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import type { Bench, Experiment, Report } from '../experiment.ts';
import { type Summary, summarize } from '../statistics.ts';
import { followed } from './overlay-follow.ts';

const PEERS = 5_000;
/** In ms, messages and MB. */
const BUDGETS = { nothing: 300, move: 5, restart: 0, memory: 100 } as const;
const ROUNDS = 10;
const READS: ReadonlySet<number> = new Set([RTM.GETLINK, RTM.GETADDR, RTM.GETROUTE, RTM.GETNEIGH]);

export const overlayPeers: Experiment = {
  name: 'overlay-peers',
  about: `${PEERS} peers: from nothing, one that moves, a restart, and the agent's memory`,
  run,
};

async function run(bench: Bench): Promise<Report> {
  const { n } = bench;
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  ip('link', 'add', 'overlay0', 'type', 'veth', 'peer', 'name', 'overlay1');
  ip('link', 'set', 'overlay0', 'up');
  ip('addr', 'add', '192.0.2.1/16', 'dev', 'overlay0');
  using nl = openRoute();
  const none = intentOf([]);
  const all = intentOf(Array.from({ length: PEERS }, (_, i) => node(i + 1)));
  const moved = {
    ...all,
    peers: all.peers.map((peer, i) => (i === 77 ? { ...peer, address: Ip.parse('192.0.99.9') } : peer)),
  };
  const times = { nothing: [] as number[], again: [] as number[], move: [] as number[] };
  reconcile(nl, none);
  const [made, found] = [writesOf(all), writesOf(all)];
  removeDevices(nl, all.network);
  for (let i = 0; i < Math.min(n, ROUNDS); i++) {
    reconcile(nl, none);
    times.nothing.push(timed(() => reconcile(nl, all)));
    times.again.push(timed(() => reconcile(nl, all)));
    const tunnel = reconcile(nl, all).tunnel?.index;
    times.move.push(timed(() => follow(nl, all, moved, tunnel)));
    removeDevices(nl, all.network);
  }
  ip('link', 'del', 'overlay0');
  const [nothing, again, move] = [times.nothing, times.again, times.move].map((each) => summarize(each));
  const file = await followed(bench, 'file', PEERS);
  const etcd = await followed(bench, 'etcd', PEERS);
  const row = (what: string, time: Summary | undefined, messages: number | '', budget?: number) => [
    what,
    `${time?.median.toFixed(1)}`,
    `${time?.p90.toFixed(1)}`,
    `${messages}`,
    budget === undefined ? '' : `≤ ${budget}`,
  ];
  const stores = Object.entries({ file, etcd });
  return {
    heads: ['overlay', 'ms', 'p90', 'messages that write', 'budget'],
    rows: [
      row(`${PEERS} peers from nothing`, nothing, made, BUDGETS.nothing),
      row('a look at all of them, where nothing differs', again, found),
      row('one of them gets another address: the kernel alone', move, 1),
      ...stores.map(([store, { change }]) =>
        row(`one of them gets another address: from \`${store}\` to the kernel`, change, 1, BUDGETS.move),
      ),
    ],
    notes: stores.map(
      ([store, { restart, busy, rest }]) =>
        `\`${store}\` with ${PEERS} peers: a restart of the agent writes ${restart} messages (budget ${BUDGETS.restart}); ` +
        `it has ${busy.toFixed(0)} MB (PSS) after an ADD, ${rest.toFixed(0)} MB when it rests (budget ${BUDGETS.memory})`,
    ),
    figures: { nothing, move, again, made, found, file, etcd },
  };
}

/** How many messages it takes to apply an intent; not timed. */
function writesOf(intent: Intent): number {
  let writes = 0;
  using nl = openRoute({
    tap(direction, datagram) {
      if (direction === 'out') writes += messagesOf(datagram).filter(({ type }) => !READS.has(type)).length;
    },
  });
  reconcile(nl, intent);
  return writes;
}

function node(number: number): OverlayNode {
  return {
    name: `node${number}`,
    address: Ip.parse('192.0.2.1').plus(BigInt(number)),
    subnet: new Cidr(Ip.parse('10.64.0.0').plus(BigInt(number) * 256n), 24),
  };
}

function intentOf(peers: readonly OverlayNode[]): Intent {
  const network = { name: 'bench', mode: 'l3', vni: 77, port: 4789, subnet: Cidr.parse('10.64.0.0/10') } as const;
  return { network, own: node(0), peers, mtu: 1450 };
}

function timed(action: () => unknown): number {
  const begin = performance.now();
  action();
  return performance.now() - begin;
}
