/** Links in the live kernel, judged by `ip`. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { NetloomError } from '../../src/error.ts';
import { parseMac } from '../../src/net/mac.ts';
import { openNetns, ownNetns } from '../../src/netns/namespace.ts';
import { withNetns } from '../../src/netns/within.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { isThere, needs } from '../support/features.ts';
import { becomeHost, ip, makeRoot, Sandbox } from '../support/host.ts';

becomeHost();
const root = makeRoot();
test.after.always(() => root.remove());

const MAC = parseMac('02:42:0a:01:00:02');

interface IpLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly address: string;
  readonly group: string;
  readonly ifalias?: string;
  readonly master?: string;
  readonly operstate: string;
  readonly txqlen: number;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: Readonly<Record<string, unknown>>;
    readonly info_slave_data?: Readonly<Record<string, unknown>>;
  };
}

function shown(name: string): IpLink {
  const [found] = ip<IpLink>('link', 'show', 'dev', name);
  if (found === undefined) throw new Error(`ip shows no ${name}`);
  return found;
}

/** Whether made() answers; otherwise it returns undefined. */
const isTold = isThere('link echo');

test('add makes a bridge with what it is asked for, and tells of it in the same answer', (t) => {
  using nl = openRoute();
  const made = link.made(
    nl,
    link.add(
      {
        name: 'br-add',
        address: MAC,
        mtu: 1400,
        linkinfo: { kind: 'bridge', data: { forward_delay: 400, mcast_snooping: false } },
      },
      { up: true },
    ),
  );
  const there = shown('br-add');
  if (isTold) t.like(made, { index: there.ifindex, name: 'br-add', mac: MAC, kind: 'bridge', isUp: true });
  else t.is(made, undefined);
  t.is(there.address, MAC);
  t.is(there.mtu, 1400);
  t.true(there.flags.includes('UP'));
  t.is(there.linkinfo?.info_kind, 'bridge');
  t.is(there.linkinfo?.info_data?.['forward_delay'], 400);
  t.is(there.linkinfo?.info_data?.['mcast_snooping'], 0);
});

test('add makes a veth pair across two namespaces in one message', (t) => {
  using sandbox = new Sandbox(root.path, 'pair');
  using nl = openRoute();
  using netns = openNetns(sandbox.path);
  nl.execute(link.add({ name: 'br-pair', linkinfo: { kind: 'bridge' } }, { up: true }));
  const master = link.get(nl, { name: 'br-pair' }).index;
  const peer = { attrs: { name: 'eth0', mtu: 1300, address: MAC, netnsFd: netns.fd } };
  const made = link.made(
    nl,
    link.add({ name: 'pair0', mtu: 1300, master, group: 9, linkinfo: { kind: 'veth', data: { peer } } }, { up: true }),
  );
  const here = shown('pair0');
  t.is(made?.index, isTold ? here.ifindex : undefined);
  t.is(here.master, 'br-pair');
  t.is(here.mtu, 1300);
  t.is(here.group, '9');
  t.true(here.flags.includes('UP'));
  const [there] = sandbox.ip<IpLink>('link', 'show', 'dev', 'eth0');
  t.is(there?.address, MAC);
  t.is(there?.mtu, 1300);
  t.false(there?.flags.includes('UP'));
});

test('set changes a link by index and by name, and its flags one by one', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'set0', linkinfo: { kind: 'veth' } }));
  const { index } = link.get(nl, { name: 'set0' });
  nl.execute(link.set({ index }, { name: 'set1', mtu: 1280, address: MAC, txqueuelen: 5 }));
  nl.execute(link.set({ name: 'set1' }, { alias: 'a b' }, { up: true, promisc: true, allmulti: true, arp: false }));
  const on = shown('set1');
  t.like(on, { ifindex: index, mtu: 1280, address: MAC, txqlen: 5, ifalias: 'a b' });
  for (const flag of ['UP', 'PROMISC', 'ALLMULTI', 'NOARP']) t.true(on.flags.includes(flag), flag);
  nl.execute(link.set({ name: 'set1' }, {}, { promisc: false, arp: true }));
  const off = shown('set1');
  for (const flag of ['UP', 'ALLMULTI']) t.true(off.flags.includes(flag), flag);
  for (const flag of ['PROMISC', 'NOARP']) t.false(off.flags.includes(flag), flag);
});

test("a rename takes the link's index: by name it would change another link", (t) => {
  t.throws(() => link.set({ name: 'a' }, { name: 'b' }), {
    instanceOf: NetloomError,
    message: 'Cannot rename the link "a": a new name takes its index',
  });
});

test('set plugs a port into a bridge, sets its options, and takes it out', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'br-port', linkinfo: { kind: 'bridge' } }));
  nl.execute(link.add({ name: 'port0', linkinfo: { kind: 'veth' } }));
  const master = link.get(nl, { name: 'br-port' }).index;
  nl.execute(link.set({ name: 'port0' }, { master }));
  const slaveData = {
    hairpin: true,
    isolated: true,
    learning: false,
    flood: false,
    cost: 42,
    guard: true,
    neigh_suppress: true,
  };
  nl.execute(link.set({ name: 'port0' }, { linkinfo: { slaveKind: 'bridge', slaveData } }));
  const port = shown('port0');
  t.is(port.master, 'br-port');
  t.like(port.linkinfo?.info_slave_data, {
    hairpin: true,
    isolated: true,
    learning: false,
    flood: false,
    cost: 42,
    guard: true,
    neigh_suppress: true,
  });
  const bridged = JSON.parse(
    execFileSync('bridge', ['-j', '-d', 'link', 'show', 'dev', 'port0'], { encoding: 'utf8' }),
  );
  t.like(bridged[0], { master: 'br-port', hairpin: true, isolated: true });
  t.like(link.get(nl, { name: 'port0' }).attrs.linkinfo?.slaveData, slaveData);

  nl.execute(link.set({ name: 'port0' }, { linkinfo: { slaveKind: 'bridge', slaveData: { hairpin: false } } }));
  t.like(link.get(nl, { name: 'port0' }).attrs.linkinfo?.slaveData, { ...slaveData, hairpin: false });
  nl.execute(link.set({ name: 'port0' }, { master: 0 }));
  t.is(shown('port0').master, undefined);
});

test('set changes the data of a bridge that is there', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'br-data', linkinfo: { kind: 'bridge' } }));
  nl.execute(
    link.set(
      { name: 'br-data' },
      { linkinfo: { kind: 'bridge', data: { ageing_time: 12300, nf_call_iptables: true } } },
    ),
  );
  t.like(shown('br-data').linkinfo?.info_data, { ageing_time: 12300, nf_call_iptables: 1 });
});

test('set moves a link to another namespace', (t) => {
  using sandbox = new Sandbox(root.path, 'move');
  using nl = openRoute();
  using netns = openNetns(sandbox.path);
  nl.execute(link.add({ name: 'move0', linkinfo: { kind: 'veth' } }));
  nl.execute(link.set({ name: 'move0' }, { netnsFd: netns.fd }));
  t.is(link.find(nl, { name: 'move0' }), undefined);
  t.is(sandbox.ip('link', 'show', 'dev', 'move0').length, 1);
});

test('remove takes a link away, and with a veth its other end', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'gone0', linkinfo: { kind: 'veth', data: { peer: { attrs: { name: 'gone1' } } } } }));
  nl.execute(link.remove({ name: 'gone0' }));
  t.is(link.find(nl, { name: 'gone0' }), undefined);
  t.is(link.find(nl, { name: 'gone1' }), undefined);
});

test('remove takes a whole group of links away and nothing else', (t) => {
  using nl = openRoute();
  const names = Array.from({ length: 20 }, (_, i) => `grp${i}`);
  nl.executeAll(names.map((name) => link.add({ name, group: 4242, linkinfo: { kind: 'veth' } })));
  nl.execute(link.add({ name: 'grp-other', linkinfo: { kind: 'bridge' } }));
  nl.execute(link.remove({ group: 4242 }));
  t.deepEqual(
    ip<IpLink>('link', 'show')
      .map(({ ifname }) => ifname)
      .filter((name) => name.startsWith('grp')),
    ['grp-other'],
  );
});

test('find and get look a link up by index and by name', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'find0', linkinfo: { kind: 'bridge' } }));
  const { ifindex } = shown('find0');
  t.is(link.find(nl, { name: 'find0' })?.index, ifindex);
  t.is(link.get(nl, { index: ifindex }).name, 'find0');
  t.is(link.find(nl, { name: 'find9' }), undefined);
  t.is(link.find(nl, { index: 99999 }), undefined);
  t.throws(() => link.get(nl, { name: 'find9' }), { code: 'ENODEV' });
});

test('list tells of 500 links, over many datagrams, as ip does', (t) => {
  using sandbox = new Sandbox(root.path, 'many');
  using netns = openNetns(sandbox.path);
  let datagrams = 0;
  using nl = withNetns(netns, () =>
    openRoute({
      tap: (direction) => {
        if (direction === 'in') datagrams++;
      },
    }),
  );
  nl.executeAll(
    Array.from({ length: 250 }, (_, i) =>
      link.add({ name: `m${i}`, linkinfo: { kind: 'veth', data: { peer: { attrs: { name: `n${i}` } } } } }),
    ),
  );
  datagrams = 0;
  const links = link.list(nl);
  t.true(datagrams > 5, `${datagrams} datagrams`);
  t.is(links.length, 501);
  const expected = sandbox
    .ip<IpLink>('link', 'show')
    .map(({ ifindex, ifname, mtu, address }) => ({ ifindex, ifname, mtu, address }));
  t.deepEqual(
    links.map(({ index, name, mtu, mac }) => ({ ifindex: index, ifname: name, mtu, address: mac })),
    expected as never,
  );
});

test('a link says whether it carries frames', (t) => {
  using nl = openRoute();
  nl.execute(
    link.add({ name: 'oper0', linkinfo: { kind: 'veth', data: { peer: { attrs: { name: 'oper1' } } } } }, { up: true }),
  );
  t.false(link.get(nl, { name: 'oper0' }).isOperational);
  t.true(link.get(nl, { name: 'oper0' }).isUp);
  t.true(link.get(nl, { name: 'lo' }).isOperational);
});

test('a socket works on its own namespace, wherever the thread is', (t) => {
  using sandbox = new Sandbox(root.path, 'stay');
  using netns = openNetns(sandbox.path);
  using inside = withNetns(netns, () => openRoute());
  using here = ownNetns();
  t.false(netns.isSameAs(here));
  t.deepEqual(
    link.list(inside).map(({ name }) => name),
    ['lo'],
  );
  inside.execute(link.add({ name: 'inside0', linkinfo: { kind: 'bridge' } }));
  t.is(sandbox.ip('link', 'show', 'dev', 'inside0').length, 1);
  using nl = openRoute();
  t.is(link.find(nl, { name: 'inside0' }), undefined);
});

needs('vlan')('add makes a VLAN of a link', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'trunk0', linkinfo: { kind: 'veth' } }));
  const { index } = link.get(nl, { name: 'trunk0' });
  nl.execute(
    link.add({ name: 'trunk0.5', link: index, linkinfo: { kind: 'vlan', data: { id: 5, protocol: 0x88a8 } } }),
  );
  t.like(shown('trunk0.5').linkinfo, { info_kind: 'vlan', info_data: { id: 5, protocol: '802.1ad' } });
});

needs('dummy')('add makes a link of a kind that has no table here', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'dummy9', linkinfo: { kind: 'dummy' } }));
  t.is(link.get(nl, { name: 'dummy9' }).kind, 'dummy');
});
