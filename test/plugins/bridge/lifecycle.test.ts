/** The life of a bridge attachment: CHECK, a second ADD, DEL in every situation, GC, STATUS. */
import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { becomeHost, ip, type Sandbox } from '../../support/host.ts';
import { bridgeConf, Lab, type Output, REFERENCE, WITHOUT_NETLINK } from '../../support/lab.ts';

becomeHost();

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
const conf = bridgeConf({ ipMasq: true, macspoofchk: true, ipam });

const leases = (lab: Lab) =>
  readdirSync(`${lab.root}/var/lib/cni/networks/net`).filter(
    (name) => /[.:]\w+$/.test(name) && !name.startsWith('last'),
  );
const hostEnd = (result: Output) => result.interfaces?.[1]?.name ?? '';
const run = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

interface Change {
  readonly title: string;
  readonly make: (sandbox: Sandbox, result: Output) => void;
  readonly says: RegExp;
}

const changes: readonly Change[] = [
  {
    title: 'an address removed',
    make: (s) => s.run('ip', 'addr', 'del', '10.1.0.2/24', 'dev', 'eth0'),
    says: /the address 10.1.0.2\/24 is missing/,
  },
  {
    title: 'an IPv6 address removed',
    make: (s) => s.run('ip', 'addr', 'del', 'fd00::2/64', 'dev', 'eth0'),
    says: /the address fd00::2\/64 is missing/,
  },
  {
    title: 'a route removed',
    make: (s) => s.run('ip', 'route', 'del', 'default'),
    says: /the route to 0.0.0.0\/0 via 10.1.0.1 is missing/,
  },
  {
    title: 'the interface down',
    make: (s) => s.run('ip', 'link', 'set', 'eth0', 'down'),
    says: /"eth0" in the container is down/,
  },
  {
    title: 'the MAC changed',
    make: (s) => s.run('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99'),
    says: /"eth0" in the container has the MAC 02:00:00:00:00:99, expected/,
  },
  {
    title: 'the interface renamed',
    make: (s) => {
      s.run('ip', 'link', 'set', 'eth0', 'down');
      s.run('ip', 'link', 'set', 'eth0', 'name', 'eth7');
    },
    says: /the interface "eth0" in the container is missing/,
  },
  {
    title: 'the bridge without its address',
    make: () => run('addr', 'del', '10.1.0.1/24', 'dev', 'cni0'),
    says: /"cni0" on the host lacks the gateway's address 10.1.0.1\/24/,
  },
  { title: 'the bridge down', make: () => run('link', 'set', 'cni0', 'down'), says: /"cni0" on the host is down/ },
  {
    title: 'the port taken out of the bridge',
    make: (_s, result) => run('link', 'set', hostEnd(result), 'nomaster'),
    says: /"veth\w+" is not a port of "cni0"/,
  },
  {
    title: 'the port down',
    make: (_s, result) => run('link', 'set', hostEnd(result), 'down'),
    says: /"veth\w+" on the host is down/,
  },
  {
    title: 'the masquerading gone',
    make: () => execFileSync('nft', ['delete', 'element', 'inet', 'netloom', 'masquerade4', '{ 10.1.0.2 }']),
    says: /the address 10.1.0.2 is not masqueraded/,
  },
  {
    title: 'all rules gone',
    make: () => execFileSync('nft', ['flush', 'ruleset']),
    says: /fd00::2 is not masqueraded.*|is not guarded/,
  },
];

test.serial('CHECK passes after ADD, and changes nothing', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const result = lab.add(conf, { sandbox });
  const before = lab.snapshot();
  lab.check(conf, { sandbox }, result);
  t.is(lab.snapshot(), before);
});

for (const { title, make, says } of changes) {
  test.serial(`CHECK names the difference: ${title}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const prevResult = lab.add(conf, { sandbox });
    make(sandbox, prevResult);
    const { status, output } = lab.exec('CHECK', { ...conf, prevResult }, { sandbox });
    t.is(status, 1);
    t.is(output.code, 110);
    t.regex(output.msg ?? '', says);
    t.is(lab.exec('DEL', { ...conf, prevResult }, { sandbox }).status, 0);
    t.notRegex(lab.snapshot(), /c1[/\r]/);
  });
}

test.serial('CHECK names every difference at once, and a lost lease', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const prevResult = lab.add(conf, { sandbox });
  sandbox.run('ip', 'addr', 'del', '10.1.0.2/24', 'dev', 'eth0');
  run('addr', 'del', 'fd00::1/64', 'dev', 'cni0');
  const { output } = lab.exec('CHECK', { ...conf, prevResult }, { sandbox });
  t.regex(output.msg ?? '', /10.1.0.2\/24 is missing/);
  t.regex(output.msg ?? '', /fd00::1\/64/);
  execFileSync(
    'rm',
    leases(lab).map((name) => `${lab.root}/var/lib/cni/networks/net/${name}`),
  );
  t.is(lab.exec('CHECK', { ...conf, prevResult }, { sandbox }).output.code, 110);
});

test.serial('a second ADD of the same container and interface fails, and leaves the first one whole', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const result = lab.add(conf, { sandbox });
  const state = () => [lab.snapshot(), sandbox.run('ip', '-d', '-o', 'addr'), sandbox.run('ip', 'route')].join('\n');
  const before = state();
  const again = lab.exec('ADD', conf, { sandbox });
  t.is(again.output.code, 111);
  t.is(state(), before);
  // The same container in another namespace, as after a restart without a DEL.
  const elsewhere = lab.exec('ADD', conf, { sandbox: lab.sandbox('other'), containerId: 'c1' });
  t.is(elsewhere.output.code, 103, elsewhere.stdout);
  t.is(state(), before);
  lab.check(conf, { sandbox }, result);
});

test.serial(
  'a name that another network has taken: its interface survives the failed ADD and the DEL after it',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const result = lab.add(conf, { sandbox });
    const before = lab.snapshot();
    const other = bridgeConf({ name: 'other', bridge: 'other0' });
    t.is(lab.exec('ADD', other, { sandbox }).output.code, 111);
    lab.del(other, { sandbox });
    t.is(lab.snapshot(), before);
    lab.check(conf, { sandbox }, result);
  },
);

test.serial('two networks for one container: each DEL removes its own', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const other = bridgeConf({
    name: 'other',
    bridge: 'other0',
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }]] },
  });
  const first = lab.add(conf, { sandbox });
  const second = lab.add(other, { sandbox, ifname: 'net1' });
  t.is(sandbox.ip('route', 'show', 'default').length, 2);
  lab.del(conf, { sandbox });
  lab.check(other, { sandbox, ifname: 'net1' }, second);
  t.deepEqual(
    sandbox
      .ip('link')
      .map(({ ifname }) => ifname)
      .sort(),
    ['lo', 'net1'],
  );
  t.is(ip('link', 'show', 'dev', hostEnd(second)).length, 1);
  t.throws(() => ip('link', 'show', 'dev', hostEnd(first)));
});

test.serial('DEL succeeds twice, without ADD, without prevResult, and with it', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.del(conf, { sandbox });
  lab.add(conf, { sandbox: lab.sandbox('neighbour') });
  const before = lab.snapshot();
  for (const withResult of [true, false]) {
    const prevResult = lab.add(conf, { sandbox });
    const given = withResult ? { ...conf, prevResult } : conf;
    lab.del(given, { sandbox });
    t.is(lab.snapshot(), before);
    t.is(sandbox.ip('link').length, 1);
    lab.del(given, { sandbox });
    t.is(lab.snapshot(), before);
  }
});

test.serial('DEL without the namespace, or without its path, frees lease, link and elements', (t) => {
  const lab = new Lab(t);
  lab.add(conf, { sandbox: lab.sandbox('neighbour') });
  const before = lab.snapshot();
  const sandbox = lab.sandbox('c1');
  lab.add(conf, { sandbox });
  lab.del(conf, { sandbox, netns: '' });
  t.is(lab.snapshot(), before);
  t.is(sandbox.ip('link').length, 1);
  lab.add(conf, { sandbox });
  lab.del(conf, { sandbox, netns: `${lab.root}/netns/never` });
  t.is(lab.snapshot(), before);
  lab.add(conf, { sandbox });
  writeFileSync(`${lab.root}/netns/empty`, ''); // what is left of a pin when the namespace is unmounted
  lab.del(conf, { sandbox, netns: `${lab.root}/netns/empty` });
  t.is(lab.snapshot(), before);
  lab.add(conf, { sandbox });
  sandbox[Symbol.dispose]();
  lab.del(conf, { containerId: 'c1', netns: sandbox.path });
  t.is(lab.snapshot(), before);
});

test.serial('DEL of an attachment that the reference plugin made, and the reverse', (t) => {
  const lab = new Lab(t);
  const shared = bridgeConf({ ipam: { ...ipam, dataDir: `${lab.root}/var/lib/cni/networks` } });
  lab.add(shared, { sandbox: lab.sandbox('neighbour') });
  const before = lab.snapshot();
  const sandbox = lab.sandbox('c1');
  const old = { ...shared, cniVersion: '1.0.0' };
  const reference = { bin: REFERENCE };
  const prevResult = lab.add(old, { sandbox }, reference);
  lab.check(old, { sandbox }, prevResult);
  lab.del({ ...old, prevResult }, { sandbox });
  t.is(lab.snapshot(), before);
  t.is(sandbox.ip('link').length, 1);
  const ours = lab.add(old, { sandbox });
  lab.del({ ...old, prevResult: ours }, { sandbox }, reference);
  // The reference plugin does not know the record of an attachment.
  lab.gc(shared, [{ containerID: 'neighbour', ifname: 'eth0' }]);
  t.is(lab.snapshot(), before);
  t.is(sandbox.ip('link').length, 1);
});

test.serial('GC removes exactly what is not listed: links, elements and leases of its network', (t) => {
  const lab = new Lab(t);
  const other = bridgeConf({
    name: 'other',
    bridge: 'other0',
    ipMasq: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }]] },
  });
  const keep = { sandbox: lab.sandbox('keep') };
  const kept = lab.add(conf, keep);
  const elsewhere = lab.add(other, keep && { ...keep, ifname: 'net1' });
  run('link', 'add', 'stranger', 'type', 'veth', 'peer', 'name', 'stranger1');
  const before = lab.snapshot();
  const stale = ['a', 'b', 'c'].map((name) => ({ sandbox: lab.sandbox(name) }));
  for (const target of stale) lab.add(conf, target);
  lab.gc(conf, [{ containerID: 'keep', ifname: 'eth0' }]);
  t.is(lab.snapshot(), before);
  for (const { sandbox } of stale) t.is(sandbox.ip('link').length, 1);
  lab.check(conf, keep, kept);
  lab.check(other, { ...keep, ifname: 'net1' }, elsewhere);
  lab.gc(conf, [{ containerID: 'keep', ifname: 'eth1' }]);
  t.notRegex(lab.snapshot(), /net\/keep\/eth0/);
  t.deepEqual(leases(lab), []);
  lab.check(other, { ...keep, ifname: 'net1' }, elsewhere);
});

test.serial('STATUS: well, then the range is full, then another link has the name of the bridge', (t) => {
  const lab = new Lab(t);
  const small = bridgeConf({ ipam: { type: 'host-local', ranges: [[{ subnet: '10.3.0.0/30' }]] } });
  const before = lab.snapshot();
  t.is(lab.exec('STATUS', small).status, 0);
  t.is(lab.snapshot(), before);
  lab.add(small, { sandbox: lab.sandbox('c1') });
  const full = lab.exec('STATUS', small);
  t.is(full.output.code, 50);
  t.regex(full.output.msg ?? '', /no IP addresses available in range set: 10.3.0.1-10.3.0.2/);
  run('link', 'del', 'cni0');
  run('link', 'add', 'cni0', 'type', 'veth');
  t.regex(lab.exec('STATUS', small).output.msg ?? '', /already exists but is not a bridge/);
});

test.serial('STATUS says so where nf_tables is missing and the configuration needs it', (t) => {
  const lab = new Lab(t);
  for (const [more, cannot] of [
    [{ ipMasq: true }, 'Cannot masquerade'],
    [{ ipMasq: false, macspoofchk: true }, 'Cannot guard against frames from other MACs'],
  ] as const) {
    const { output } = lab.exec('STATUS', bridgeConf(more), {}, { wrap: WITHOUT_NETLINK });
    t.is(output.code, 50);
    t.is(output.msg, `${cannot}: the kernel has no nf_tables (CONFIG_NF_TABLES)`);
    t.is(lab.exec('STATUS', bridgeConf(more)).status, 0);
  }
});

test.serial('containers reach each other, the host and the gateway, by IPv4 and IPv6', (t) => {
  const lab = new Lab(t);
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  lab.add(conf, { sandbox: one });
  lab.add(conf, { sandbox: two });
  for (const address of ['10.1.0.1', '10.1.0.3', 'fd00::1', 'fd00::3']) t.true(one.reaches(address), address);
  t.true(two.reaches('10.1.0.2'));
  for (const address of ['10.1.0.2', 'fd00::3']) execFileSync('ping', ['-c', '1', '-w', '10', address]);
});

test.serial('the bridge keeps its MAC as ports come and go', (t) => {
  const lab = new Lab(t);
  const mac = () => ip<{ address: string }>('link', 'show', 'cni0')[0]?.address;
  const targets = ['c1', 'c2', 'c3'].map((name) => ({ sandbox: lab.sandbox(name) }));
  const macs = targets.map((target) => {
    lab.add(conf, target);
    return mac();
  });
  for (const target of targets) {
    lab.del(conf, target);
    macs.push(mac());
  }
  t.is(new Set(macs).size, 1);
});

test.serial('a reused address works at once, though a neighbour remembers another MAC', (t) => {
  const lab = new Lab(t);
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  lab.add(conf, { sandbox: one });
  const again = { ...conf, runtimeConfig: { ips: ['10.1.0.77', 'fd00::77'] } };
  const first = lab.add(again, { sandbox: two });
  for (const address of ['10.1.0.77', 'fd00::77']) one.run('ping', '-c', '1', '-W', '10', address);
  const remembered = () =>
    one
      .ip<{ dst: string; lladdr: string }>('neigh')
      .filter(({ dst }) => dst.endsWith('77'))
      .map(({ lladdr }) => lladdr);
  t.deepEqual(remembered(), [first.interfaces?.[2]?.mac, first.interfaces?.[2]?.mac]);
  lab.del(again, { sandbox: two });
  const second = lab.add(again, { sandbox: two });
  t.not(second.interfaces?.[2]?.mac, first.interfaces?.[2]?.mac);
  // The address was announced, so this does not need an echo request.
  t.deepEqual(remembered(), [second.interfaces?.[2]?.mac, second.interfaces?.[2]?.mac]);
  for (const address of ['10.1.0.77', 'fd00::77']) one.run('ping', '-c', '1', '-W', '10', address);
});

test.serial('macspoofchk: frames from another MAC do not leave the container', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(conf, { sandbox });
  t.true(sandbox.reaches('10.1.0.1'));
  sandbox.run('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99');
  t.throws(() => sandbox.run('ping', '-c', '1', '-W', '1', '10.1.0.1'));
});
