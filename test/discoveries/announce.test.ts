/**
 * Setting a link's MAC, even to the one that it has, makes the kernel announce its addresses: NETDEV_CHANGEADDR with
 * arp_notify (inetdev_event()) and with ndisc_notify (ndisc_netdev_event()). The neighbour's own entry is the witness.
 *
 *     sysctl -w net.ipv4.conf.eth0.arp_notify=1; ip link set eth0 address $(cat /sys/class/net/eth0/address)
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Ip } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import { writeSysctl } from '../../src/net/sysctl.ts';
import { openNetns } from '../../src/netns/namespace.ts';
import { withNetns } from '../../src/netns/within.ts';
import * as link from '../../src/rtnl/link.ts';
import * as neigh from '../../src/rtnl/neigh.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';

becomeHost();
const root = makeRoot();
test.after.always(() => root.remove());

const RTNLGRP = { LINK: 1, NEIGH: 3 } as const;
const STRANGER = parseMac('02:00:00:00:00:99');

interface Case {
  readonly address: string;
  readonly prefix: number;
  readonly peer: string;
  readonly setting: string;
  readonly isOn: boolean;
}

/** Whose MAC a neighbour has for the address, after the link with that address was given its own MAC again. */
function believed(name: string, { address, prefix, peer, setting, isOn }: Case): 'ours' | "the stranger's" {
  using sandbox = new Sandbox(root.path, name);
  using netns = openNetns(sandbox.path);
  using nl = openRoute();
  using links = openRoute();
  using there = withNetns(netns, () => openRoute());
  using events = withNetns(netns, () => openRoute());
  links.join(RTNLGRP.LINK);
  events.join(RTNLGRP.NEIGH);

  const data = { peer: { attrs: { name: 'eth0', netnsFd: netns.fd } } };
  nl.execute(link.add({ name, linkinfo: { kind: 'veth', data } }, { up: true }));
  sandbox.run('ip', 'link', 'set', 'eth0', 'up');
  const nodad = address.includes(':') ? ['nodad'] : [];
  sandbox.run('ip', 'addr', 'add', `${peer}/${prefix}`, 'dev', 'eth0', ...nodad);
  execFileSync('ip', ['addr', 'add', `${address}/${prefix}`, 'dev', name, ...nodad]);
  writeSysctl(setting.replace('NAME', name), isOn ? '1' : '0');
  while (!link.get(nl, { name }).isOperational) links.next(1000);

  const { index, mac = STRANGER } = link.get(nl, { name });
  const { index: inside } = link.get(there, { name: 'eth0' });
  // What the neighbour remembers of the former holder of the address.
  there.execute(neigh.replace(inside, Ip.parse(address), STRANGER, neigh.NUD.STALE));
  const entry = () => neigh.list(there).find(({ ip }) => `${ip}` === address)?.mac;

  nl.execute(link.set({ index }, { address: mac }));
  const deadline = Date.now() + (isOn ? 10_000 : 300);
  while (entry() !== mac && Date.now() < deadline) events.next(deadline - Date.now());
  return entry() === mac ? 'ours' : "the stranger's";
}

const V4 = { address: '10.1.0.2', prefix: 24, peer: '10.1.0.3', setting: 'net/ipv4/conf/NAME/arp_notify' };
const V6 = { address: 'fd00::2', prefix: 64, peer: 'fd00::3', setting: 'net/ipv6/conf/NAME/ndisc_notify' };

test('with arp_notify, setting the MAC to itself tells the neighbours by gratuitous ARP', (t) => {
  t.is(believed('arp-on', { ...V4, isOn: true }), 'ours');
});

test('without arp_notify it does not', (t) => {
  t.is(believed('arp-off', { ...V4, isOn: false }), "the stranger's");
});

test('with ndisc_notify, setting the MAC to itself tells the neighbours by unsolicited advertisement', (t) => {
  t.is(believed('nd-on', { ...V6, isOn: true }), 'ours');
});

test('without ndisc_notify it does not', (t) => {
  t.is(believed('nd-off', { ...V6, isOn: false }), "the stranger's");
});
