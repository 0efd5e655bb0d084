/**
 * host and container stand alone: neither can be combined with another attachment of the same container, in either
 * order.
 */
import test from 'ava';
import { becomeHost } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Target } from '../support/lab.ts';
import { sharing, startMain } from './container/sandboxes.ts';

becomeHost();

const host: Json = { cniVersion: '1.1.0', name: 'outside', type: 'host' };
const none: Json = { cniVersion: '1.1.0', name: 'nothing', type: 'none' };
const loopback: Json = { cniVersion: '1.1.0', name: 'lo', type: 'loopback' };
const other = (conf: Json): Json => ({ ...conf, name: `${conf['name']}2` });
const OWN = '/proc/self/ns/net';

/** The record of attachments decides, whatever the namespace. */
const cases: readonly { first: Json; second: Json; says: RegExp }[] = [
  {
    first: sharing,
    second: bridgeConf(),
    says: /^Cannot attach the container "c1" to the network "net": its attachment "eth0" to the network "shared" \(container\) stands alone: it shares the network of another container, .*; attach the container whose network it shares/,
  },
  { first: sharing, second: { ...bridgeConf(), type: 'ptp' }, says: /\(container\) stands alone/ },
  {
    first: bridgeConf(),
    second: sharing,
    says: /^Cannot attach the container "c1" to the network "shared": it has its attachment "eth0" to the network "net" \(bridge\) already, and "container" stands alone: .*DEL the attachment/,
  },
  { first: sharing, second: other(sharing), says: /\(container\) stands alone/ },
  {
    first: host,
    second: bridgeConf(),
    says: /its attachment "eth0" to the network "outside" \(host\) stands alone: it is in the host's network, .*; start it with a network of its own \(mode "none"/,
  },
  {
    first: bridgeConf(),
    second: host,
    says: /it has its attachment "eth0" .* and "host" stands alone: it is in the host/,
  },
  { first: host, second: sharing, says: /\(host\) stands alone/ },
  { first: host, second: other(host), says: /\(host\) stands alone/ },
];

for (const { first, second, says } of cases) {
  test.serial(`${first['type']}, then ${second['type']}`, (t) => {
    const lab = new Lab(t);
    startMain(lab);
    const sandbox = lab.sandbox('c1');
    const targetOf = (conf: Json): Target =>
      conf['type'] === 'host' ? { containerId: 'c1', netns: OWN } : { sandbox };
    const target = { ...targetOf(second), ifname: 'eth1' };
    lab.add(first, targetOf(first));
    const before = lab.snapshot();
    const { output } = lab.exec('ADD', second, target);
    t.is(output.code, 120, output.msg);
    t.regex(output.msg ?? '', says);
    t.is(lab.snapshot(), before);
    // A runtime calls DEL after a failed ADD. The first attachment must stay.
    lab.del(second, target);
    t.is(lab.snapshot(), before);
    lab.del(first, targetOf(first));
    if (second['type'] !== 'host' && first['type'] !== 'host') {
      lab.add(second, target);
      lab.del(second, target);
    }
  });
}

test.serial('a conflist that makes an interface first is refused as well', (t) => {
  const lab = new Lab(t);
  startMain(lab);
  const sandbox = lab.sandbox('c1');
  const prevResult = lab.add(bridgeConf({ cniVersion: '1.1.0', name: 'shared' }), { sandbox });
  const { output } = lab.exec('ADD', { ...sharing, prevResult }, { sandbox });
  t.is(output.code, 120);
  t.regex(output.msg ?? '', /a plugin before it in the conflist made "eth0", and "container" stands alone/);
});

test.serial('loopback and none go with both, before and after', (t) => {
  const lab = new Lab(t);
  startMain(lab);
  const c1 = { sandbox: lab.sandbox('c1') };
  for (const conf of [loopback, none, sharing, other(loopback), other(none)]) lab.add(conf, c1);
  t.true(c1.sandbox.reaches('10.1.0.1'));
  const c2 = { containerId: 'c2', netns: OWN };
  lab.add(loopback, c2, { environment: { CNI_NETNS_OVERRIDE: '1' } });
  lab.add(host, c2);
  lab.add(other(none), c2, { environment: { CNI_NETNS_OVERRIDE: '1' } });
});

test.serial('a record of a namespace that is gone forbids nothing', (t) => {
  const lab = new Lab(t);
  startMain(lab);
  {
    using gone = lab.sandbox('c1');
    lab.add(sharing, { sandbox: gone });
    gone[Symbol.dispose](); // unmounts the pin over it, then its own
  }
  lab.add(bridgeConf(), { sandbox: lab.sandbox('c1') });
  t.pass();
});

test.serial('two networks that share nothing go together as ever', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const second = bridgeConf({
    name: 'net2',
    bridge: 'cni1',
    isDefaultGateway: false,
    isGateway: true,
    ipam: { type: 'host-local', subnet: '10.2.0.0/24' },
  });
  lab.add(bridgeConf(), { sandbox });
  lab.add(second, { sandbox, ifname: 'eth1' });
  t.true(sandbox.reaches('10.1.0.1') && sandbox.reaches('10.2.0.1'));
});
