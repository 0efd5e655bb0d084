/**
 * host-device as a container runtime executes it. The devices are veth ends. The tests do by hand what the kernel does
 * with hardware when its namespace ends.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import test from 'ava';
import { becomeHost, ip, type Sandbox } from '../support/host.ts';
import { type Json, Lab, type Output } from '../support/lab.ts';
import { eth0, ipam, type LinkJson, run } from './links/contract.ts';

becomeHost();

const conf: Json = { cniVersion: '1.1.0', name: 'net', type: 'host-device', device: 'd0', ipam };
const MARK = 'netloom-device:net/c1/eth0 d0';

/**
 * The host's `d0` and `d1`, the two ends of a wire. NB: they are never up, so that a link that was moved and came back
 * looks untouched.
 */
function makeDevices(): void {
  run('link', 'add', 'd0', 'address', '02:00:00:00:00:d0', 'type', 'veth', 'peer', 'name', 'd1');
  run('link', 'set', 'd0', 'alias', 'uplink of rack 7');
}

const onHost = () => ip<LinkJson>('link').map(({ ifname }) => ifname);

test.serial('two devices in two containers reach each other, and come home with name and alias', (t) => {
  const lab = new Lab(t);
  makeDevices();
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const before = lab.snapshot();
  const result = lab.add(conf, { sandbox: one });
  const second = { ...conf, device: 'd1' };
  lab.add(second, { sandbox: two });
  t.deepEqual(result.interfaces, [{ name: 'eth0', mac: '02:00:00:00:00:d0', mtu: 1500, sandbox: one.path }]);
  t.deepEqual(onHost(), ['lo']);
  t.is(eth0(one)?.ifalias, `${MARK} uplink of rack 7`);
  for (const address of ['10.1.0.3', 'fd00::3']) t.true(one.reaches(address), address);
  lab.check(conf, { sandbox: one }, result);
  lab.del({ ...conf, prevResult: result }, { sandbox: one });
  lab.del(second, { sandbox: two });
  t.is(lab.snapshot(), before);
  lab.del(conf, { sandbox: one });
  t.is(lab.snapshot(), before);
});

for (const [title, more, prepare] of [
  ['hwaddr', { hwaddr: '02-00-00-00-00-D0' }, () => {}],
  ['kernelpath', { kernelpath: '/sys/devices/virtual' }, () => {}],
  ['pciBusID', { pciBusID: '0000:00:05.0' }, () => fakeBus('pci/devices/0000:00:05.0/net/d0')],
  ['pciBusID of virtio', { pciBusID: '0000:00:05.0' }, () => fakeBus('pci/devices/0000:00:05.0/virtio3/net/d0')],
  [
    'runtimeConfig.deviceID over pciBusID',
    { pciBusID: 'no', runtimeConfig: { deviceID: '0000:00:06.0' } },
    () => fakeBus('pci/devices/0000:00:06.0/net/d0'),
  ],
] as const) {
  test.serial(`the device by ${title}, and without IPAM`, (t) => {
    const lab = new Lab(t);
    makeDevices();
    prepare();
    const sandbox = lab.sandbox('c1');
    const before = lab.snapshot();
    const plain = { cniVersion: '1.1.0', name: 'net', type: 'host-device', ...more };
    const result = lab.add(plain, { sandbox });
    t.is(result.interfaces?.[0]?.mac, '02:00:00:00:00:d0');
    t.is(result.ips, undefined);
    t.true(eth0(sandbox)?.flags.includes('UP'));
    lab.check(plain, { sandbox }, result);
    lab.del(plain, { sandbox });
    t.is(lab.snapshot(), before);
  });
}

for (const driver of ['vfio-pci', 'uio_pci_generic', 'igb_uio']) {
  test.serial(
    `a device that ${driver} has for programs stays where it is: the result has its addresses and "pciID"`,
    (t) => {
      const lab = new Lab(t);
      makeDevices();
      const id = '0000:00:05.0';
      fakeBus(`pci/devices/${id}`);
      symlinkSync(`../../../../bus/pci/drivers/${driver}`, `/sys/bus/pci/devices/${id}/driver`);
      const sandbox = lab.sandbox('c1');
      const before = lab.snapshot();
      const bound: Json = { cniVersion: '1.1.0', name: 'net', type: 'host-device', runtimeConfig: { deviceID: id } };
      const interfaces = [{ name: 'eth0', sandbox: sandbox.path, pciID: id }];
      t.deepEqual(lab.add(bound, { sandbox }), { cniVersion: '1.1.0', interfaces } as Output);
      lab.del(bound, { sandbox });

      const result = lab.add({ ...bound, ipam }, { sandbox });
      t.deepEqual(result.interfaces, interfaces);
      t.deepEqual(
        result.ips?.map(({ address, interface: at }) => [address, at]),
        [
          ['10.1.0.2/24', 0],
          ['fd00::2/64', 0],
        ],
      );
      t.is(sandbox.ip('link').length, 1);
      t.true(onHost().includes('d0'));
      lab.check({ ...bound, ipam }, { sandbox }, result);
      unlinkSync(`/sys/bus/pci/devices/${id}/driver`);
      const { output } = lab.exec('CHECK', { ...bound, ipam, prevResult: result }, { sandbox });
      t.regex(output.msg ?? '', /interface "eth0"/);
      lab.del({ ...bound, ipam, prevResult: result }, { sandbox });
      t.is(lab.snapshot(), before);
    },
  );
}

test.serial('what it cannot do is refused before any change', (t) => {
  const lab = new Lab(t);
  makeDevices();
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  const { device: _, ...nameless } = conf;
  for (const [bad, code, says] of [
    [nameless, 7, /specify either "device", "hwaddr", "kernelpath" or "pciBusID"/],
    [{ ...conf, device: 'nope' }, 112, /Cannot find a network device "nope" on the host/],
    [{ ...conf, device: 'lo' }, 7, /Cannot move "lo": it is the loopback interface/],
    [{ ...nameless, hwaddr: '02:00:00:00:00:01' }, 112, /with the MAC 02:00:00:00:00:01/],
    [{ ...nameless, hwaddr: 'x' }, 7, /"hwaddr" is "x", expected a MAC/],
    [{ ...nameless, kernelpath: '/etc' }, 7, /must be absolute and begin with \/sys\/devices\//],
    [{ ...nameless, kernelpath: '/sys/devices/../../etc' }, 7, /must be absolute and begin with/],
    [{ ...nameless, pciBusID: '../x' }, 7, /"pciBusID" is "..\/x"/],
    [{ ...nameless, pciBusID: '0000:99:00.0' }, 112, /with the bus address "0000:99:00.0"/],
  ] as const) {
    const { output } = lab.exec('ADD', bad, { sandbox });
    t.is(output.code, code);
    t.regex(output.msg ?? '', says);
    if (code === 112) t.regex(output.details ?? '', /^there are: .*\bd0\b.*; it may be in a container already/);
  }
  sandbox.run('ip', 'link', 'add', 'eth0', 'type', 'bridge');
  t.is(lab.exec('ADD', conf, { sandbox }).output.code, 111);
  t.is(lab.snapshot(), before);
});

test.serial('an ADD that fails later gives the device back', (t) => {
  const lab = new Lab(t);
  makeDevices();
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  const routes = [{ dst: '192.0.2.0/24', gw: '198.51.100.1' }]; // a gateway that is not on the link
  t.is(lab.exec('ADD', { ...conf, ipam: { ...ipam, routes } }, { sandbox }).status, 1);
  t.is(lab.snapshot(), before);
});

test.serial(
  'a name that the host needs for somebody else: the device waits in the container, and another DEL finishes',
  (t) => {
    const lab = new Lab(t);
    makeDevices();
    const sandbox = lab.sandbox('c1');
    lab.add(conf, { sandbox });
    for (const name of ['d0', 'eth0']) run('link', 'add', name, 'type', 'bridge');
    const { output } = lab.exec('DEL', conf, { sandbox });
    t.is(output.code, 111);
    t.is(output.msg, 'Cannot give "eth0" its old name "d0" back: the host has another interface of that name');
    t.is(eth0(sandbox)?.address, '02:00:00:00:00:d0');
    run('link', 'del', 'd0');
    lab.del(conf, { sandbox });
    t.is(device()?.ifalias, 'uplink of rack 7');
  },
);

for (const [title, verb] of [
  ['DEL', (lab: Lab, sandbox: Sandbox) => lab.del(conf, { sandbox, netns: '' })],
  ['DEL of the namespace that has gone', (lab: Lab, sandbox: Sandbox) => lab.del(conf, { sandbox })],
  ['GC', (lab: Lab) => lab.gc(conf, [])],
] as const) {
  test.serial(`hardware that the kernel took home when its namespace died gets its name back by ${title}`, (t) => {
    const lab = new Lab(t);
    makeDevices();
    const sandbox = lab.sandbox('c1');
    const before = lab.snapshot();
    lab.add(conf, { sandbox });
    // default_device_exit_net() moves it to the first namespace, down, with its alias. It keeps its name, or becomes
    // dev%d if that is taken.
    sandbox.run('ip', 'link', 'set', 'eth0', 'netns', `${process.pid}`, 'name', 'dev0');
    sandbox[Symbol.dispose]();
    t.true(onHost().includes('dev0'));
    verb(lab, sandbox);
    t.is(lab.snapshot(), before);
  });
}

test.serial('GC brings a device home from a namespace that has outlived its attachment', (t) => {
  const lab = new Lab(t);
  makeDevices();
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  lab.add({ ...conf, device: 'd1' }, { sandbox: two });
  const before = lab.snapshot();
  lab.add(conf, { sandbox: one });
  lab.gc(conf, [{ containerID: 'c2', ifname: 'eth0' }]);
  t.is(lab.snapshot(), before);
  t.is(device()?.ifalias, 'uplink of rack 7');
  t.true(eth0(two)?.flags.includes('UP'));
});

test.serial(
  'a container that marks links of its own as the device neither keeps that nor moves them to the host',
  (t) => {
    const lab = new Lab(t);
    makeDevices();
    const sandbox = lab.sandbox('c1');
    const before = lab.snapshot();
    // `first` exists before the device, so it is listed first. The kernel does not move a bridge to another namespace.
    sandbox.run('ip', 'link', 'add', 'first', 'type', 'bridge');
    lab.add(conf, { sandbox });
    sandbox.run('ip', 'link', 'add', 'second', 'type', 'veth');
    for (const name of ['first', 'second'])
      sandbox.run('ip', 'link', 'set', name, 'alias', `${MARK.slice(0, -2)} ${name}`);
    for (let i = 0; i < 2; i++) {
      lab.del(conf, { sandbox });
      t.is(lab.snapshot(), before);
    }
  },
);

for (const [title, changes] of [
  ['takes its mark from it', [['alias', '']]],
  ['writes another old name into its mark', [['alias', `${MARK.slice(0, -2)}lo`]]],
  [
    'gives it another name and the mark of somebody else',
    [['down'], ['name', 'mine'], ['alias', 'netloom-device:other/c9/eth0 d7']],
  ],
] as const) {
  for (const [verb, act] of [
    ['DEL', (lab: Lab, sandbox: Sandbox) => lab.del(conf, { sandbox })],
    ['GC', (lab: Lab) => lab.gc(conf, [])],
  ] as const) {
    test.serial(`a container ${title}: ${verb} brings the device home with its name and alias`, (t) => {
      const lab = new Lab(t);
      makeDevices();
      const sandbox = lab.sandbox('c1');
      const long = 'a'.repeat(250); // too long for the mark
      run('link', 'set', 'd0', 'alias', long);
      const withoutIndex = () =>
        lab
          .snapshot()
          .replace(/^\d+: /gm, '')
          .split('\n')
          .sort();
      const before = withoutIndex();
      // The device's ifindex on the host is taken in the container.
      const { ifindex } = ip<{ ifindex: number }>('link', 'show', 'd0')[0] ?? {};
      sandbox.run('ip', 'link', 'add', 'first', 'index', `${ifindex}`, 'type', 'veth');
      lab.add(conf, { sandbox });
      let name = 'eth0';
      for (const change of changes) {
        sandbox.run('ip', 'link', 'set', name, ...change);
        if (change[0] === 'name') name = change[1];
      }
      act(lab, sandbox);
      t.deepEqual(withoutIndex(), before);
      t.is(device()?.ifalias, long);
      t.true(sandbox.ip<LinkJson>('link').some(({ ifname }) => ifname === 'first'));
    });
  }
}

test.serial('GC leaves devices of attachments that are valid, and of other networks', (t) => {
  const lab = new Lab(t);
  makeDevices();
  run('link', 'set', 'd0', 'alias', MARK);
  run('link', 'set', 'd1', 'alias', 'netloom-device:other/c1/eth0 old');
  lab.gc(conf, [{ containerID: 'c1', ifname: 'eth0' }]);
  t.is(device()?.ifalias, MARK);
  lab.gc(conf, []);
  t.is(device()?.ifalias, undefined);
  t.true(onHost().includes('d1'));
});

test.serial('DEL leaves what belongs to somebody else, and brings home what the reference plugin moved', (t) => {
  const lab = new Lab(t);
  makeDevices();
  const sandbox = lab.sandbox('c1');
  const result = lab.add(conf, { sandbox });
  lab.del({ ...conf, name: 'other' }, { sandbox });
  lab.check(conf, { sandbox }, result);
  sandbox.run('ip', 'link', 'set', 'eth0', 'alias', 'd0');
  rmSync(`${lab.root}/run/netloom/attachments`, { recursive: true }); // no record is left
  lab.del(conf, { sandbox });
  t.is(eth0(sandbox)?.ifalias, 'd0');
  lab.del({ ...conf, prevResult: result }, { sandbox });
  t.is(device()?.address, '02:00:00:00:00:d0');
  t.is(device()?.ifalias, undefined);
});

test.serial('STATUS does not mind that a container has the device', (t) => {
  const lab = new Lab(t);
  t.is(lab.exec('STATUS', conf).status, 0);
  t.is(lab.exec('STATUS', { ...conf, ipam: { type: 'nothing' } }).output.code, 108);
});

const device = () => ip<LinkJson>('link').find(({ ifname }) => ifname === 'd0');

/** Puts a device into a private /sys/bus/pci: the test has its own mounts. */
function fakeBus(path: string): void {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/sys/bus/pci/devices']);
  mkdirSync(`/sys/bus/${path}`, { recursive: true });
}
