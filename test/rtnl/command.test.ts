/**
 * A request and its equivalent command, run by iproute2, have the same effect: each is run in one of two identical
 * namespaces.
 */
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import type { Request } from '../../src/netlink/message.ts';
import { openNetns } from '../../src/netns/namespace.ts';
import { withNetns } from '../../src/netns/within.ts';
import * as addr from '../../src/rtnl/addr.ts';
import * as fdb from '../../src/rtnl/fdb.ts';
import * as link from '../../src/rtnl/link.ts';
import * as neigh from '../../src/rtnl/neigh.ts';
import * as route from '../../src/rtnl/route.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';
import { Limit } from '../support/limit.ts';

becomeHost();
const root = makeRoot();
test.after.always(() => root.remove());

const MAC = parseMac('02:42:0a:01:00:02');
const OTHER = parseMac('02:42:0a:01:00:03');

/** The same indices in both namespaces: 2 and 3 are a pair, 4 is a bridge. */
const SETTING = `
  ip link set lo up
  ip link add p0 index 2 address 02:00:00:00:00:02 type veth peer name p1 index 3 address 02:00:00:00:00:03
  ip link add br0 index 4 address 02:00:00:00:00:04 type bridge
  ip link set p0 up; ip link set p1 up; ip link set br0 up
  ip addr add 10.1.0.1/24 dev p0; ip addr add fd00::1/64 nodad dev p0`;

const SECOND = { dst: Cidr.parse('10.9.0.0/16'), gateway: Ip.parse('10.1.0.9') };

/** For the tunnel that is made before; it is the fifth link. */
const FDB: readonly Request[] = [
  fdb.replace(5, MAC, Ip.parse('10.1.0.8')),
  fdb.replace(5, MAC, Ip.parse('10.1.0.9')),
  fdb.replace(5, OTHER, Ip.parse('10.1.0.9')),
  fdb.remove(5, OTHER, Ip.parse('10.1.0.9')),
  fdb.append(5, fdb.ANY_MAC, Ip.parse('10.1.0.8')),
  fdb.append(5, fdb.ANY_MAC, Ip.parse('10.1.0.9')),
  fdb.append(5, fdb.ANY_MAC, Ip.parse('10.1.0.10')),
  fdb.remove(5, fdb.ANY_MAC, Ip.parse('10.1.0.9')),
];

const REQUESTS: Readonly<Record<string, readonly Request[]>> = {
  'a bridge': [
    link.add(
      {
        name: 'n0',
        address: MAC,
        mtu: 1400,
        linkinfo: {
          kind: 'bridge',
          data: {
            forward_delay: 400,
            stp_state: 1,
            mcast_snooping: false,
            ageing_time: 12300,
            priority: 100,
            group_fwd_mask: 8,
          },
        },
      },
      { up: true },
    ),
  ],
  'a veth pair': [
    link.add(
      {
        name: 'n0',
        address: MAC,
        master: 4,
        group: 9,
        txqueuelen: 7,
        numTxQueues: 2,
        numRxQueues: 2,
        linkinfo: { kind: 'veth', data: { peer: { attrs: { name: 'n1', address: OTHER, mtu: 1300 } } } },
      },
      { up: true },
    ),
  ],
  'a macvlan link': [
    link.add({
      name: 'n0',
      link: 2,
      mtu: 1300,
      address: MAC,
      linkinfo: { kind: 'macvlan', data: { mode: 'private', bcqueuelen: 77 } },
    }),
  ],
  'a tunnel over IPv4': [
    link.add(
      {
        name: 'n0',
        mtu: 1400,
        address: MAC,
        linkinfo: {
          kind: 'vxlan',
          data: {
            id: 77,
            local: Ip.parse('10.1.0.1'),
            remote: Ip.parse('10.1.0.9'),
            dev: 2,
            dstport: 4789,
            ttl: 7,
            learning: false,
            ageing: 50,
            maxaddress: 9,
            proxy: true,
            rsc: true,
            l2miss: true,
            l3miss: true,
            udpcsum: true,
            df: 'set',
          },
        },
      },
      { up: true },
    ),
  ],
  'a tunnel over IPv6': [
    link.add({
      name: 'n0',
      address: MAC,
      linkinfo: {
        kind: 'vxlan',
        data: {
          id: 77,
          local6: Ip.parse('fd00::1'),
          remote6: Ip.parse('fd00::9'),
          dstport: 4790,
          learning: true,
          udp6zerocsumtx: true,
          udp6zerocsumrx: true,
        },
      },
    }),
  ],
  'entries of the FDB': [
    link.add({
      name: 'n0',
      address: OTHER,
      linkinfo: { kind: 'vxlan', data: { id: 77, local: Ip.parse('10.1.0.1'), dstport: 4789 } },
    }),
    ...FDB,
  ],
  'changes of a link': [
    link.set(
      { name: 'p0' },
      { alias: 'some "alias"', mtu: 1300, txqueuelen: 5, group: 3 },
      { promisc: true, allmulti: true, arp: false },
    ),
    link.set({ index: 3 }, { address: MAC }, { up: false }),
    link.set({ index: 3 }, { name: 'renamed' }),
  ],
  'a port and its options': [
    link.set({ name: 'p1' }, { master: 4 }),
    link.set(
      { index: 3 },
      {
        linkinfo: {
          slaveKind: 'bridge',
          slaveData: {
            hairpin: true,
            guard: true,
            root_block: true,
            fastleave: true,
            learning: false,
            flood: false,
            proxy_arp: true,
            mcast_flood: false,
            neigh_suppress: true,
            isolated: true,
            cost: 9,
            priority: 5,
          },
        },
      },
    ),
  ],
  'a port that is taken out': [link.set({ name: 'p1' }, { master: 4 }), link.set({ name: 'p1' }, { master: 0 })],
  'a bridge that is changed': [
    link.set({ name: 'br0' }, { linkinfo: { kind: 'bridge', data: { ageing_time: 100, nf_call_iptables: true } } }),
  ],
  'a removal': [link.remove({ name: 'p0' })],
  'a removal by index': [link.remove({ index: 4 })],
  'a removal of a group': [link.set({ index: 2 }, { group: 77 }), link.remove({ group: 77 })],
  addresses: [
    addr.add(3, Cidr.parse('10.2.0.2/24')),
    addr.add(3, Cidr.parse('10.3.0.2/24'), { broadcast: false, noPrefixRoute: true }),
    addr.add(3, Cidr.parse('10.4.0.2/32')),
    addr.add(3, Cidr.parse('fd02::2/64'), { nodad: true }),
  ],
  'addresses that are removed': [addr.remove(2, Cidr.parse('10.1.0.1/24')), addr.remove(2, Cidr.parse('fd00::1/64'))],
  routes: [
    route.add({
      dst: Cidr.parse('10.5.3.4/16'),
      gateway: Ip.parse('10.1.0.9'),
      priority: 7,
      src: Ip.parse('10.1.0.1'),
      mtu: 1300,
      advmss: 1200,
      protocol: 110,
    }),
    route.add({ dst: Cidr.parse('10.6.0.0/16'), oif: 2, table: 1000 }),
    route.add({ dst: Cidr.parse('0.0.0.0/0'), gateway: Ip.parse('169.254.1.1'), oif: 2, onlink: true }),
    route.add({ dst: Cidr.parse('fd05::/32'), gateway: Ip.parse('fd00::9'), oif: 2, priority: 5, mtu: 1300 }),
    route.add({ dst: Cidr.parse('::/0'), gateway: Ip.parse('fd00::9'), table: 300 }),
  ],
  'a route in front of another': [route.add(SECOND), route.prepend({ dst: SECOND.dst, gateway: Ip.parse('10.1.0.8') })],
  'a route in place of another': [route.add(SECOND), route.replace({ dst: SECOND.dst, gateway: Ip.parse('10.1.0.8') })],
  'a route that is removed': [route.add({ ...SECOND, protocol: 110 }), route.remove({ dst: SECOND.dst })],
  neighbours: [
    neigh.replace(2, Ip.parse('10.1.0.9'), MAC),
    neigh.replace(2, Ip.parse('fd00::9'), MAC),
    neigh.remove(2, Ip.parse('fd00::9')),
  ],
};

/** Cases that end in the state in which they began. */
const NO_TRACE: ReadonlySet<string> = new Set(['a port that is taken out', 'a route that is removed']);

/**
 * What differs between two namespaces by chance: times, timers, identifiers, and how far the kernel's link watch has
 * got.
 */
const CHANCE =
  /^(qdisc|operstate|state|(bridge|root)_id|designated_(root|bridge|port)|.*_timer|.*_life_time|link_index|no|id)$/;
const CHANCE_FLAGS = new Set(['LOWER_UP', 'NO-CARRIER', 'M-DOWN', 'linkdown']);

/** The kernel's own link-local addresses and routes, which appear when the link is ready. */
function isOwn(entry: { readonly local?: string; readonly dst?: string }): boolean {
  return /^(fe80|ff00|multicast)/.test(entry.local ?? entry.dst ?? '');
}

interface FdbEntry {
  readonly mac: string;
  /** Empty if the bridge has learned it. */
  readonly state: string;
}

/** What a bridge has learned from a frame, and groups that a link joins as its addresses become ready. */
function isChance({ mac, state }: FdbEntry): boolean {
  return state === '' || mac.startsWith('33:33:') || mac.startsWith('01:00:5e:');
}

function state(sandbox: Sandbox): unknown {
  const run = (...args: string[]): unknown =>
    JSON.parse(sandbox.run('ip', '-j', '-d', ...args) || '[]', (key, value: unknown) => {
      if (CHANCE.test(key)) return undefined;
      if (!Array.isArray(value)) return value;
      return key === 'flags' ? value.filter((flag) => !CHANCE_FLAGS.has(flag)) : value.filter((each) => !isOwn(each));
    });
  return {
    links: run('addr', 'show'),
    routes: run('-4', 'route', 'show', 'table', 'all'),
    routes6: run('-6', 'route', 'show', 'table', 'all'),
    neighbours: run('neigh', 'show', 'nud', 'permanent'),
    fdb: (JSON.parse(sandbox.run('bridge', '-j', 'fdb', 'show')) as FdbEntry[]).filter((entry) => !isChance(entry)),
  };
}

/**
 * Both states, once they are equal or have differed for a minute: the kernel adds routes of its own from a work queue.
 */
function settled(ours: Sandbox, theirs: Sandbox): readonly [unknown, unknown] {
  const limit = new Limit(60);
  for (;;) {
    const states = [state(ours), state(theirs)] as const;
    if (JSON.stringify(states[0]) === JSON.stringify(states[1]) || limit.isOver()) return states;
  }
}

let count = 0;
for (const [title, requests] of Object.entries(REQUESTS)) {
  test(`${title}: the command does the same`, (t) => {
    count++;
    using ours = new Sandbox(root.path, `ours${count}`);
    using theirs = new Sandbox(root.path, `theirs${count}`);
    for (const each of [ours, theirs]) each.run('bash', '-ec', SETTING);
    const [before, same] = settled(ours, theirs);
    t.deepEqual(before, same, 'the same before');

    using netns = openNetns(ours.path);
    using nl = withNetns(netns, () => openRoute());
    for (const request of requests) {
      nl.execute(request);
      theirs.run('bash', '-ec', request.command);
    }
    const [mine, iproute2s] = settled(ours, theirs);
    t.deepEqual(mine, iproute2s);
    if (!NO_TRACE.has(title)) t.notDeepEqual(mine, before);
  });
}
