/**
 * The difference between what a kernel has and what it should have, counted in messages: none if nothing differs, three
 * for a peer.
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { messagesOf } from '../../src/netlink/message.ts';
import { removeDevices } from '../../src/overlay/devices.ts';
import type { Intent } from '../../src/overlay/intent.ts';
import type { Mode, OverlayNode } from '../../src/overlay/network.ts';
import { follow, overlayDifferences, reconcile } from '../../src/overlay/reconcile.ts';
import { RTM } from '../../src/rtnl/constants.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, ip } from '../support/host.ts';

becomeHost();
execFileSync('bash', ['-e'], {
  input: 'ip link add n0 type veth peer name n1; ip link set n0 up; ip link set n1 up; ip addr add 192.0.2.1/16 dev n0',
});

const READS: ReadonlySet<number> = new Set([RTM.GETLINK, RTM.GETADDR, RTM.GETROUTE, RTM.GETNEIGH]);

function node(number: number): OverlayNode {
  return {
    name: `node${number}`,
    address: Ip.parse('192.0.2.1').plus(BigInt(number)),
    subnet: new Cidr(Ip.parse('10.64.0.0').plus(BigInt(number) * 256n), 24),
  };
}

function intent(mode: Mode, numbers: readonly number[]): Intent {
  const network = { name: 'net', mode, vni: 77, port: 4789, subnet: Cidr.parse('10.64.0.0/10') };
  return { network, own: node(0), peers: numbers.map(node), mtu: 1450 };
}

/** Applies an intent. @returns how many write messages were sent */
function writes(wanted: Intent): number {
  let count = 0;
  using nl = openRoute({
    tap(direction, datagram) {
      if (direction === 'out') count += messagesOf(datagram).filter(({ type }) => !READS.has(type)).length;
    },
  });
  reconcile(nl, wanted);
  return count;
}

function remaining(wanted: Intent): string[] {
  using nl = openRoute();
  return overlayDifferences(nl, wanted);
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** The number of messages for a peer. */
const PER_PEER: Readonly<Record<Mode, number>> = { l3: 3, l2: 1, direct: 1 };

for (const mode of ['l3', 'l2', 'direct'] as const) {
  test.serial(`${mode}: nothing is written where nothing differs, and of a change only the change`, (t) => {
    t.teardown(() => {
      using nl = openRoute();
      removeDevices(nl, intent(mode, []).network);
    });
    const each = PER_PEER[mode];
    const numbers = range(200);
    const made = writes(intent(mode, []));
    t.true(made > 0 && made < 10, `${made} messages for the devices`);
    t.is(writes(intent(mode, numbers)), 200 * each, 'from nothing');
    t.is(writes(intent(mode, numbers)), 0, 'again');
    t.is(writes(intent(mode, numbers.toReversed())), 0, 'in another order');
    t.is(writes(intent(mode, [...numbers, 201])), each, 'one joins');
    t.is(writes(intent(mode, numbers)), each, 'one leaves');
    t.deepEqual(remaining(intent(mode, numbers)), []);
    t.is(remaining(intent(mode, numbers.slice(1))).length, each);
    t.is(writes(intent(mode, [])), 200 * each, 'all leave');
    t.is(ip('route', 'show', 'proto', '111').length, 0);
  });
}

test.serial('a peer with another address is one entry that is replaced', (t) => {
  t.teardown(() => {
    using nl = openRoute();
    removeDevices(nl, intent('l3', []).network);
  });
  const before = intent('l3', range(5));
  writes(before);
  const moved = {
    ...before,
    peers: before.peers.map((peer, i) => (i === 2 ? { ...peer, address: Ip.parse('192.0.9.9') } : peer)),
  };
  t.is(writes(moved), 1);
  t.deepEqual(remaining(moved), []);
});

test.serial('from one intent to the next nothing is read, and only what differs is written', (t) => {
  t.teardown(() => {
    using nl = openRoute();
    removeDevices(nl, intent('l3', []).network);
  });
  const types: number[] = [];
  using nl = openRoute({
    tap(direction, datagram) {
      if (direction === 'out') types.push(...messagesOf(datagram).map(({ type }) => type));
    },
  });
  const before = intent('l3', range(50));
  const tunnel = reconcile(nl, before).tunnel?.index;
  const after = intent('l3', [...range(49), 51]);
  types.length = 0;
  follow(nl, before, after, tunnel);
  // For the node that came: an FDB entry, a neighbour and a route. For the one that left, the route first.
  const [NEW, DEL] = [RTM.NEWNEIGH, RTM.DELNEIGH];
  t.deepEqual(types, [NEW, NEW, RTM.NEWROUTE, RTM.DELROUTE, DEL, DEL]);
  t.deepEqual(remaining(after), []);
  follow(nl, after, after, tunnel);
  t.is(types.length, 6);
});

/** Adds learned FDB entries. `dynamic` is the kernel's state for those that it learns. */
function learn(tunnel: string, ...entries: readonly (readonly [string, string])[]): void {
  for (const [mac, dst] of entries)
    execFileSync('bridge', ['fdb', 'add', mac, 'dev', tunnel, 'dst', dst, 'self', 'dynamic']);
}

/** Where a tunnel sends frames, including learned entries. */
function led(tunnel: string): string[] {
  const all = JSON.parse(execFileSync('bridge', ['-j', 'fdb', 'show', 'dev', tunnel], { encoding: 'utf8' })) as {
    mac: string;
    dst?: string;
  }[];
  return all.flatMap(({ mac, dst }) => (dst === undefined ? [] : [`${mac} ${dst}`])).sort();
}

for (const way of ['follow', 'reconcile'] as const) {
  test.serial(`l2: what was learned of a peer that moves or leaves goes with it, by ${way}`, (t) => {
    t.teardown(() => {
      using nl = openRoute();
      removeDevices(nl, intent('l2', []).network);
    });
    using nl = openRoute();
    const before = intent('l2', range(3));
    const { tunnel } = reconcile(nl, before);
    const name = tunnel?.name ?? '';
    const [one, two, three] = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'] as const;
    learn(name, [one, '192.0.2.2'], [two, '192.0.2.3'], [three, '192.0.2.4']);
    const [first, second] = before.peers;
    if (first === undefined || second === undefined) throw new Error('there are three');
    const after = { ...before, peers: [first, { ...second, address: Ip.parse('192.0.9.9') }] };
    if (way === 'follow') follow(nl, before, after, tunnel?.index);
    else reconcile(nl, after);
    const any = '00:00:00:00:00:00';
    t.deepEqual(led(name), [`${any} 192.0.2.2`, `${any} 192.0.9.9`, `${one} 192.0.2.2`]);
  });
}

test.serial('l2: of two peers with one address one leaves, and the other is reached on', (t) => {
  t.teardown(() => {
    using nl = openRoute();
    removeDevices(nl, intent('l2', []).network);
  });
  using nl = openRoute();
  const one = intent('l2', range(3));
  const [first, second, third] = one.peers;
  if (first === undefined || second === undefined || third === undefined) throw new Error('there are three');
  const two = { ...one, peers: [first, { ...second, address: first.address }, third] };
  const { tunnel } = reconcile(nl, one);
  follow(nl, one, two, tunnel?.index);
  const three = { ...two, peers: two.peers.slice(1) };
  follow(nl, two, three, tunnel?.index);
  t.deepEqual(remaining(three), []);
});

test.serial('5,000 peers: each in place, a restart without a change writes nothing', (t) => {
  t.teardown(() => {
    using nl = openRoute();
    removeDevices(nl, intent('l3', []).network);
  });
  const wanted = intent('l3', range(5000));
  writes(intent('l3', []));
  t.is(writes(wanted), 15_000);
  t.is(writes(wanted), 0);
  t.is(ip('route', 'show', 'proto', '111').length, 5000);
  t.is(ip('neigh', 'show', 'nud', 'permanent').length, 5000);
  t.is(writes(intent('l3', range(5001))), 3);
});
