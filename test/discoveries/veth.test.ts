/** What we learned about links, and rely on. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { openNetns } from '../../src/netns/namespace.ts';
import { withNetns } from '../../src/netns/within.ts';
import { IFF } from '../../src/rtnl/constants.ts';
import { PORT_FORWARDING } from '../../src/rtnl/kinds/bridge.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { isThere } from '../support/features.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';
import { Limit } from '../support/limit.ts';

becomeHost();
const root = makeRoot();
test.after.always(() => root.remove());

const RTNLGRP_LINK = 1;

/**
 * veth_open() returns ENOTCONN while the device has no peer. The peer is registered, and set up, before the two are
 * joined (veth_newlink()). No command shows it: iproute2 cannot write that message.
 */
test('a veth peer that is to be up in the message that makes it is refused: ENOTCONN', (t) => {
  using nl = openRoute();
  const peer = { header: { flags: IFF.UP, change: IFF.UP }, attrs: { name: 'v1' } };
  t.throws(() => nl.execute(link.add({ name: 'v0', linkinfo: { kind: 'veth', data: { peer } } })), {
    code: 'ENOTCONN',
  });
  t.is(link.find(nl, { name: 'v0' }), undefined);
  t.is(link.find(nl, { name: 'v1' }), undefined);
});

/** `ip link add v0 type veth && ip link set v0 up` in one message: only the peer must not be up. */
test('the near end of a veth may be up in the message that makes it', (t) => {
  using nl = openRoute();
  const made = link.made(nl, link.add({ name: 'up0', linkinfo: { kind: 'veth' } }, { up: true }));
  t.is(made?.isUp ?? link.get(nl, { name: 'up0' }).isUp, true);
});

/**
 * Since Linux 6.2 (rtnl_newlink_create() passes the request on to rtnl_configure_link()). No command shows it:
 * `ip -echo link add` needs iproute2 6.2.
 */
test('NLM_F_ECHO answers a new link with all of it, where the kernel is 6.2 or later', (t) => {
  using nl = openRoute();
  const made = link.made(nl, link.add({ name: 'echo0', linkinfo: { kind: 'bridge' } }));
  if (isThere('link echo'))
    t.like(made, { name: 'echo0', kind: 'bridge', index: link.get(nl, { name: 'echo0' }).index });
  else t.is(made, undefined);
});

/**
 * `ip link add a0 alias x type bridge; ip link show a0` shows no alias: rtnl_create_link() does not read IFLA_IFALIAS.
 */
test('an alias in the message that makes a link is passed over', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'alias0', alias: 'mine', linkinfo: { kind: 'bridge' } }));
  t.is(link.get(nl, { name: 'alias0' }).alias, undefined);
  nl.execute(link.set({ name: 'alias0' }, { alias: 'mine' }));
  t.is(link.get(nl, { name: 'alias0' }).alias, 'mine');
  execFileSync('ip', ['link', 'add', 'alias1', 'alias', 'x', 'type', 'bridge']);
  t.is(link.get(nl, { name: 'alias1' }).alias, undefined);
});

/** `ip link add x0 … type bridge_slave hairpin on`: the options of a port are read only once it is one. */
test('a link that is made with a master is a port in the same message, with default options', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'br-new', linkinfo: { kind: 'bridge' } }));
  const master = link.get(nl, { name: 'br-new' }).index;
  nl.execute(
    link.add({ name: 'port0', master, linkinfo: { kind: 'veth', slaveKind: 'bridge', slaveData: { hairpin: true } } }),
  );
  const port = link.get(nl, { name: 'port0' });
  t.is(port.master, master);
  t.is(port.attrs.linkinfo?.slaveData?.hairpin, false);
});

/** `nsenter --net=X ip monitor link &` keeps reporting the links of X. */
test('a socket stays in the namespace in which it was opened', (t) => {
  using sandbox = new Sandbox(root.path, 'stays');
  using netns = openNetns(sandbox.path);
  using nl = withNetns(netns, () => openRoute());
  execFileSync('ip', ['link', 'add', 'outside0', 'type', 'bridge']);
  sandbox.run('ip', 'link', 'add', 'inside0', 'type', 'bridge');
  t.deepEqual(
    link.list(nl).map(({ name }) => name),
    ['lo', 'inside0'],
  );
});

/**
 * `bridge monitor link`: the kernel's link watch, a work queue, sets the port's operstate, and then
 * br_port_carrier_check() sets the port's state. Without spanning tree it goes to forwarding at once, and RTM_NEWLINK
 * reports it: nothing has to be polled.
 */
test('a bridge port forwards as soon as its link is operational, and an event tells of that', (t) => {
  using nl = openRoute();
  using events = openRoute();
  nl.execute(link.add({ name: 'br-fwd', linkinfo: { kind: 'bridge' } }, { up: true }));
  const master = link.get(nl, { name: 'br-fwd' }).index;
  nl.execute(
    link.add(
      { name: 'fwd0', master, linkinfo: { kind: 'veth', data: { peer: { attrs: { name: 'fwd1' } } } } },
      { up: true },
    ),
  );
  t.false(link.get(nl, { name: 'fwd0' }).isOperational);
  events.join(RTNLGRP_LINK);
  nl.execute(link.set({ name: 'fwd1' }, {}, { up: true }));
  const limit = new Limit(60);
  let port = link.get(nl, { name: 'fwd0' });
  while (!port.isOperational && !limit.isOver()) {
    t.true(events.next(10_000).length > 0, 'an event came');
    port = link.get(nl, { name: 'fwd0' });
  }
  t.true(port.isOperational);
  while (port.attrs.linkinfo?.slaveData?.state !== PORT_FORWARDING && !limit.isOver()) {
    events.next(10_000);
    port = link.get(nl, { name: 'fwd0' });
  }
  t.is(port.attrs.linkinfo?.slaveData?.state, PORT_FORWARDING);
});
