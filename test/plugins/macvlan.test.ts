/** macvlan as a container runtime executes it. The judges are `ip` and the packets that pass. */
import test from 'ava';
import { temporaryName } from '../../src/attach/container-link.ts';
import { becomeHost, ip } from '../support/host.ts';
import type { Json } from '../support/lab.ts';
import { Limit } from '../support/limit.ts';
import { eth0, ipam, type LinkJson, labWithMaster, linkContract, run } from './links/contract.ts';

becomeHost();

const conf: Json = { cniVersion: '1.1.0', name: 'net', type: 'macvlan', master: 'm0', ipam };

linkContract({
  type: 'macvlan',
  needs: 'macvlan',
  conf,
  hangs: true,
  another: conf,
  other: [{ mode: 'vepa' }, /"eth0" in the container has the macvlan mode bridge, expected vepa/],
});

test.serial('containers reach each other and the LAN, by both families', (t) => {
  const { lab, lan } = labWithMaster(t);
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  for (const sandbox of [one, two]) lab.add(conf, { sandbox });
  for (const address of ['10.1.0.3', 'fd00::3', '10.1.0.1', 'fd00::1']) t.true(one.reaches(address), address);
  for (const address of ['10.1.0.2', 'fd00::2']) t.true(lan.reaches(address), address);
});

test.serial('mode: each of the four, and in private and vepa containers of one master do not hear each other', (t) => {
  const { lab, lan } = labWithMaster(t);
  for (const mode of ['bridge', 'private', 'vepa', 'passthru']) {
    const sandboxes = [lab.sandbox(`${mode}1`), lab.sandbox(`${mode}2`)] as const;
    const [one, two] = sandboxes;
    const result = lab.add({ ...conf, mode }, { sandbox: one });
    t.is(eth0(one)?.linkinfo?.info_data?.['mode'], mode);
    t.true(lan.reaches(String(result.ips?.[0]?.address).replace('/24', '')), mode);
    const second = lab.exec('ADD', { ...conf, mode }, { sandbox: two });
    if (mode === 'passthru') {
      t.is(second.output.code, 111);
      t.regex(second.output.msg ?? '', /passthru needs "m0" for itself/);
      t.is(result.interfaces?.[0]?.mac, ip<LinkJson>('link', 'show', 'dev', 'm0')[0]?.address);
    } else {
      const address = String(second.output.ips?.[0]?.address).replace('/24', '');
      t.is(one.reaches(address, mode === 'bridge' ? 10 : 2), mode === 'bridge', mode);
    }
    for (const sandbox of sandboxes) lab.del({ ...conf, mode }, { sandbox });
  }
});

test.serial('an unknown mode is refused before any change, by ADD, CHECK and STATUS', (t) => {
  const { lab } = labWithMaster(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  for (const command of ['ADD', 'STATUS']) {
    const { output } = lab.exec(command, { ...conf, mode: 'l2' }, { sandbox });
    t.is(output.code, 7);
    t.is(output.msg, 'unknown macvlan mode: "l2", expected one of bridge, private, vepa, passthru');
  }
  t.is(lab.snapshot(), before);
});

test.serial('a master that is a macvlan link itself, and one that is a port of a bridge or down', (t) => {
  const { lab } = labWithMaster(t);
  run('link', 'add', 'upper', 'link', 'm0', 'type', 'macvlan', 'mode', 'bridge');
  run('link', 'set', 'upper', 'up');
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const result = lab.add({ ...conf, master: 'upper' }, { sandbox: one });
  lab.add(conf, { sandbox: two });
  t.true(one.reaches('10.1.0.3'));
  t.true(one.reaches('10.1.0.1'));
  lab.check({ ...conf, master: 'upper' }, { sandbox: one }, result);

  run('link', 'add', 'br7', 'type', 'bridge');
  run('link', 'add', 'p0', 'type', 'veth', 'peer', 'name', 'p1');
  run('link', 'set', 'p0', 'master', 'br7', 'up');
  const sandbox = lab.sandbox('c3');
  const before = lab.snapshot();
  const says = (master: string) => lab.exec('ADD', { ...conf, master }, { sandbox }).output.msg;
  t.is(says('p0'), 'Cannot use "p0" as the master: it is a port of a bridge, which takes all of its frames');
  t.is(says('p1'), 'Cannot use "p1" as the master: it is down, set it up first');
  t.is(lab.snapshot(), before);
});

test.serial('the MAC: runtimeConfig over CNI_ARGS over "mac", and otherwise a random one', (t) => {
  const { lab } = labWithMaster(t);
  const mac = (more: Json, args?: string) => {
    const sandbox = lab.sandbox(`c${Math.random()}`.replace('.', ''));
    const result = lab.add({ ...conf, ...more }, { sandbox, ...(args !== undefined && { args }) });
    t.is(result.interfaces?.[0]?.mac, eth0(sandbox)?.address);
    return eth0(sandbox)?.address;
  };
  const [own, inArgs, inRuntime] = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'];
  const runtimeConfig = { mac: inRuntime };
  t.is(mac({ mac: own.toUpperCase() }), own);
  t.is(mac({ mac: own }, `IgnoreUnknown=1;K8S_POD_NAME=x;MAC=${inArgs}`), inArgs);
  t.is(mac({ mac: own, runtimeConfig }, `IgnoreUnknown=1;MAC=${inArgs}`), inRuntime);
  t.regex(mac({}) ?? '', /^.[26ae]:/);
  for (const bad of ['01:00:00:00:00:01', '00:00:00:00:00:00', 'x']) {
    const { output } = lab.exec('ADD', { ...conf, mac: bad }, { sandbox: lab.sandbox(`bad${bad.length}${bad[1]}`) });
    t.is(output.code, 7);
    t.is(output.msg, `"mac" is "${bad}", expected the MAC of one station, such as "02:42:0a:01:00:02"`);
  }
});

test.serial('bcqueuelen is the queue that the link asks for', (t) => {
  const { lab } = labWithMaster(t);
  const sandbox = lab.sandbox('c1');
  lab.add({ ...conf, bcqueuelen: 5000 }, { sandbox });
  t.is(eth0(sandbox)?.linkinfo?.info_data?.['bcqueuelen'], 5000);
});

test.serial('without IPAM it is layer 2: the link up, and no addresses', (t) => {
  const { lab } = labWithMaster(t);
  const sandbox = lab.sandbox('c1');
  const plain = { cniVersion: '1.1.0', name: 'net', type: 'macvlan', master: 'm0' };
  const result = lab.add(plain, { sandbox });
  t.is(result.ips, undefined);
  t.true(eth0(sandbox)?.flags.includes('UP'));
  lab.check(plain, { sandbox }, result);
  lab.del(plain, { sandbox });
  t.is(sandbox.ip('link').length, 1);
});

test.serial('dns is the configuration’s only, routes and gateway are those of IPAM', (t) => {
  const { lab } = labWithMaster(t);
  const addresses = [{ address: '10.1.0.9/24', gateway: '10.1.0.1' }];
  const fixed = { type: 'static', addresses, routes: [{ dst: '0.0.0.0/0' }], dns: { nameservers: ['10.1.0.53'] } };
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const result = lab.add({ ...conf, ipam: fixed }, { sandbox: one });
  t.is(result.dns, undefined);
  t.is(one.ip('route', 'show', 'default')[0]?.['gateway'], '10.1.0.1');
  t.deepEqual(result.ips, [{ interface: 0, ...addresses[0], address: '10.1.0.9/24' }]);
  const dns = { nameservers: ['192.0.2.1'] };
  t.deepEqual(lab.add({ ...conf, dns }, { sandbox: two }).dns, dns);
});

test.serial('neighbours learn at once that an address has moved to a new link', (t) => {
  const { lab, lan } = labWithMaster(t);
  const stranger = '02:00:00:00:00:99';
  for (const address of ['10.1.0.2', 'fd00::2']) {
    lan.run('ip', 'neigh', 'add', address, 'lladdr', stranger, 'nud', 'stale', 'dev', 'eth0');
  }
  const { interfaces = [] } = lab.add(conf, { sandbox: lab.sandbox('c1') });
  const believed = () =>
    lan
      .ip<{ dst: string; lladdr?: string }>('neigh', 'show', 'dev', 'eth0')
      .filter(({ dst }) => ['10.1.0.2', 'fd00::2'].includes(dst))
      .map(({ lladdr }) => lladdr);
  const wanted = [interfaces[0]?.mac, interfaces[0]?.mac];
  const limit = new Limit(60);
  while (String(believed()) !== String(wanted) && !limit.isOver());
  t.deepEqual(believed(), wanted);
});

test.serial(
  'a link that an ADD left under its temporary name is removed by DEL, and stands in the way of an ADD until then',
  (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    const before = lab.snapshot();
    lab.add(conf, { sandbox });
    const ifname = temporaryName('net/c1/eth0');
    sandbox.run('ip', 'link', 'set', 'eth0', 'down'); // by itself: older kernels check the name first, and do not rename a link that is up
    sandbox.run('ip', 'link', 'set', 'eth0', 'name', ifname, 'alias', '');
    const { output } = lab.exec('ADD', conf, { sandbox });
    t.is(output.code, 103);
    t.is(output.msg, 'Cannot create the macvlan link "eth0": an ADD of it is under way, or was cut short');
    t.deepEqual(
      sandbox.ip<LinkJson>('link').map((each) => each.ifname),
      ['lo', ifname],
    );
    lab.del(conf, { sandbox });
    t.is(sandbox.ip('link').length, 1);
    t.is(lab.snapshot(), before);
  },
);
