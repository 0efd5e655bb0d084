/**
 * Each key of the bridge plugin, as a container runtime gives it, judged by other tools.
 * https://www.cni.dev/plugins/current/main/bridge/
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { standaloneOnly } from '../../agent/agent-process.ts';
import { isThere, needs } from '../../support/features.ts';
import { becomeHost, ip } from '../../support/host.ts';
import { bridgeConf, Lab } from '../../support/lab.ts';

becomeHost();

interface LinkJson {
  readonly ifname: string;
  readonly mtu: number;
  readonly address: string;
  readonly master?: string;
  readonly flags: readonly string[];
  readonly operstate: string;
  readonly ifalias?: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_slave_data?: Record<string, unknown> };
  readonly addr_info?: readonly {
    local: string;
    prefixlen: number;
    scope: string;
    tentative?: boolean;
    nodad?: boolean;
  }[];
}

const link = (name: string) => ip<LinkJson>('addr', 'show', 'dev', name)[0];
const globals = (found: LinkJson | undefined) =>
  (found?.addr_info ?? [])
    .filter(({ scope }) => scope === 'global')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
const forwarding = (family: 'ipv4' | 'ipv6') =>
  readFileSync(`/proc/sys/net/${family}/conf/all/forwarding`, 'utf8').trim();

const hostLocal = (...subnets: string[]) => ({ type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) });

const nodad = (address: string) => (address.includes(':') ? ['nodad'] : []);

test.beforeEach(() => {
  for (const family of ['ipv4', 'ipv6']) writeFileSync(`/proc/sys/net/${family}/conf/all/forwarding`, '0');
});

test.serial(
  'without keys: a bridge cni0, a port with a mark, an address, and neither gateway, routes nor forwarding',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const conf = bridgeConf({ isDefaultGateway: false });
    const { interfaces = [], ips, routes } = lab.add(conf, { sandbox });
    t.deepEqual(
      interfaces.map(({ name }) => name.replace(/[0-9a-f]{11}$/, '…')),
      ['cni0', 'veth…', 'eth0'],
    );
    t.deepEqual(ips, [{ interface: 2, address: '10.1.0.2/24', gateway: '10.1.0.1' }]);
    t.is(routes, undefined);
    t.is(interfaces[2]?.sandbox, sandbox.path);
    const port = link(interfaces[1]?.name ?? '');
    t.is(port?.master, 'cni0');
    t.is(port?.operstate, 'UP');
    t.is(port?.ifalias, 'netloom:net/c1/eth0');
    t.is(port?.address, interfaces[1]?.mac);
    t.is(link('cni0')?.linkinfo?.info_kind, 'bridge');
    t.is(link('cni0')?.address, interfaces[0]?.mac);
    t.deepEqual(globals(link('cni0')), []);
    const [eth0] = sandbox.ip<LinkJson>('addr', 'show', 'dev', 'eth0');
    t.is(eth0?.address, interfaces[2]?.mac);
    t.deepEqual(globals(eth0), ['10.1.0.2/24']);
    t.is(sandbox.run('cat', '/proc/sys/net/ipv4/conf/eth0/arp_notify').trim(), '1');
    t.deepEqual(
      sandbox.ip('route').map(({ dst }) => dst),
      ['10.1.0.0/24'],
    );
    t.is(forwarding('ipv4'), '0');
    t.deepEqual(
      ip('-j', 'route').map(({ dst }) => dst),
      [],
    );
  },
);

test.serial(
  'isGateway: the gateway on the bridge, forwarding for the family in use only, and no default route',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    lab.add(bridgeConf({ isDefaultGateway: false, isGateway: true }), { sandbox });
    t.deepEqual(globals(link('cni0')), ['10.1.0.1/24']);
    t.is(forwarding('ipv4'), '1');
    t.is(forwarding('ipv6'), '0');
    t.deepEqual(sandbox.ip('route', 'show', 'default'), []);
  },
);

test.serial('isDefaultGateway: a default route for each family, beside those of IPAM', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const ipam = { ...hostLocal('10.1.0.0/24', 'fd00::/64'), routes: [{ dst: '192.168.0.0/16' }] };
  const { routes } = lab.add(bridgeConf({ ipam }), { sandbox });
  t.deepEqual(routes, [
    { dst: '192.168.0.0/16' },
    { dst: '0.0.0.0/0', gw: '10.1.0.1' },
    { dst: '::/0', gw: 'fd00::1' },
  ]);
  t.is(sandbox.ip('route', 'show', 'default')[0]?.['gateway'], '10.1.0.1');
  t.is(sandbox.ip('route', 'show', '192.168.0.0/16')[0]?.['gateway'], '10.1.0.1');
  t.is(sandbox.ip('-6', 'route', 'show', 'default')[0]?.['gateway'], 'fd00::1');
  t.deepEqual(globals(link('cni0')), ['10.1.0.1/24', 'fd00::1/64']);
  t.is(forwarding('ipv6'), '1');
});

test.serial('forceAddress: another address of the bridge is an error, and is replaced only when told so', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(bridgeConf({ ipam: hostLocal('10.9.0.0/24', 'fd00::/64') }), { sandbox: lab.sandbox('c0') });
  const conf = bridgeConf({ name: 'other', ipam: hostLocal('10.1.0.0/24', 'fd01::/64') });
  const before = lab.snapshot();
  const { status, output } = lab.exec('ADD', conf, { sandbox });
  t.is(status, 1);
  t.is(output.code, 102);
  t.is(output.msg, '"cni0" already has an IP address different from 10.1.0.1/24: 10.9.0.1/24');
  t.is(lab.snapshot(), before);
  lab.add({ ...conf, forceAddress: true }, { sandbox });
  // A bridge may have IPv6 addresses in several subnets.
  t.deepEqual(globals(link('cni0')).sort(), ['10.1.0.1/24', 'fd00::1/64', 'fd01::1/64']);
});

test.serial('mtu: of both ends, and of a bridge that is made', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const { interfaces = [] } = lab.add(bridgeConf({ mtu: 1400 }), { sandbox });
  t.deepEqual(
    interfaces.map(({ mtu }) => mtu),
    [1400, 1400, 1400],
  );
  t.is(link('cni0')?.mtu, 1400);
  t.is(link(interfaces[1]?.name ?? '')?.mtu, 1400);
  t.is(sandbox.ip<LinkJson>('link', 'show', 'eth0')[0]?.mtu, 1400);
});

test.serial('hairpinMode and portIsolation are set on the port, promiscMode on the bridge', (t) => {
  const lab = new Lab(t);
  const port = (conf: object, name: string) => {
    const { interfaces = [] } = lab.add(bridgeConf({ ...conf }), { sandbox: lab.sandbox(name) });
    return ip<LinkJson>('link', 'show', 'dev', interfaces[1]?.name ?? '')[0]?.linkinfo?.info_slave_data;
  };
  const [plain, hairpin, isolated] = [
    port({}, 'c1'),
    port({ hairpinMode: true }, 'c2'),
    port({ portIsolation: true }, 'c3'),
  ];
  t.deepEqual([plain?.['hairpin'], plain?.['isolated']], [false, false]);
  t.deepEqual([hairpin?.['hairpin'], hairpin?.['isolated']], [true, false]);
  t.deepEqual([isolated?.['hairpin'], isolated?.['isolated']], [false, true]);
  t.false(link('cni0')?.flags.includes('PROMISC'));
  port({ promiscMode: true }, 'c4');
  t.true(link('cni0')?.flags.includes('PROMISC'));
  const { output } = lab.exec('ADD', bridgeConf({ promiscMode: true, hairpinMode: true }), {
    sandbox: lab.sandbox('c5'),
  });
  t.is(output.code, 7);
  t.regex(output.msg ?? '', /cannot set hairpin mode and promiscuous mode at the same time/);
});

test.serial('portIsolation: isolated containers reach the gateway and not each other', (t) => {
  const lab = new Lab(t);
  const conf = bridgeConf({ portIsolation: true });
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  lab.add(conf, { sandbox: one });
  lab.add(conf, { sandbox: two });
  t.true(one.reaches('10.1.0.1'));
  t.true(two.reaches('10.1.0.1'));
  t.throws(() => one.run('ping', '-c', '1', '-W', '1', '10.1.0.3'));
});

test.serial("the container's MAC: runtimeConfig over args over CNI_ARGS", (t) => {
  const lab = new Lab(t);
  const [a, b, c] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b', '02:00:00:00:00:0c'];
  const macOf = (name: string, conf: object, args?: string) => {
    const sandbox = lab.sandbox(name);
    const { interfaces = [] } = lab.add(bridgeConf({ ...conf }), { sandbox, ...(args !== undefined && { args }) });
    t.is(sandbox.ip<LinkJson>('link', 'show', 'eth0')[0]?.address, interfaces[2]?.mac);
    return interfaces[2]?.mac;
  };
  const inArgs = { args: { cni: { mac: b } } };
  t.is(macOf('c1', {}, `IgnoreUnknown=1;MAC=${c}`), c);
  t.is(macOf('c2', inArgs, `IgnoreUnknown=1;MAC=${c}`), b);
  t.is(macOf('c3', { ...inArgs, runtimeConfig: { mac: a.toUpperCase() } }, `IgnoreUnknown=1;MAC=${c}`), a);
});

test.serial('without ipam: layer 2 only, the link up and without an address of ours', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  for (const ipam of [undefined, {}]) {
    const conf = bridgeConf({ ipam, isDefaultGateway: false });
    const result = lab.add(conf, { sandbox });
    t.is(result.ips, undefined);
    const [eth0] = sandbox.ip<LinkJson>('addr', 'show', 'dev', 'eth0');
    t.true(eth0?.flags.includes('UP'));
    t.deepEqual(globals(eth0), []);
    lab.check(conf, { sandbox }, result);
    lab.del(conf, { sandbox });
    t.is(sandbox.ip('link').length, 1);
  }
});

test.serial('disableContainerInterface: the link stays down, and IPAM beside it is refused', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const conf = bridgeConf({ disableContainerInterface: true, isDefaultGateway: false });
  const refused = lab.exec('ADD', conf, { sandbox });
  t.is(refused.output.code, 7);
  t.regex(refused.output.msg ?? '', /cannot use IPAM when "disableContainerInterface" is true/);
  lab.add({ ...conf, ipam: {} }, { sandbox });
  t.false(sandbox.ip<LinkJson>('link', 'show', 'eth0')[0]?.flags.includes('UP'));
});

test.serial('IPv6 is usable at once: no address of the result is tentative', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(bridgeConf({ ipam: hostLocal('fd00::/64') }), { sandbox });
  const [eth0] = sandbox.ip<LinkJson>('addr', 'show', 'dev', 'eth0');
  // The link-local address is not part of the result: a work queue of the kernel makes it usable a moment later.
  t.deepEqual(
    (eth0?.addr_info ?? []).filter(({ scope }) => scope === 'global').map(({ tentative }) => tentative),
    [undefined],
  );
  sandbox.run('ping', '-c', '1', '-W', '10', 'fd00::1');
});

test.serial('without enabledad nothing is probed, nor is the link-local address where there is only IPv4', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(bridgeConf(), { sandbox });
  t.is(sandbox.run('cat', '/proc/sys/net/ipv6/conf/eth0/accept_dad').trim(), '0');
  t.notRegex(sandbox.run('ip', '-6', 'addr', 'show', 'dev', 'eth0'), /tentative/);
});

test.serial(
  'an IPv6 address without the setting that says whether it is probed is none: the ADD fails, and leaves nothing',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const setting = '/proc/sys/net/ipv6/conf/eth0/accept_dad';
    const wrap =
      `strace -f -qqq -o /dev/null -P ${setting} -e trace=openat,open -e inject=openat,open:error=EROFS`.split(' ');
    const options = { wrap, bin: standaloneOnly(lab) };
    t.is(lab.exec('ADD', bridgeConf(), { sandbox }, options).status, 0, 'IPv4 does without');
    lab.del(bridgeConf(), { sandbox });
    const before = lab.snapshot();
    const conf = bridgeConf({ enabledad: true, ipam: hostLocal('fd00::/64') });
    const { status, output } = lab.exec('ADD', conf, { sandbox }, options);
    t.is(status, 1);
    t.regex(`${output.msg} ${output.details ?? ''}`, /accept_dad/);
    t.is(lab.snapshot(), before);
  },
);

test.serial('enabledad: waits for the probes, and refuses an address that another station has', (t) => {
  const lab = new Lab(t);
  const conf = bridgeConf({
    enabledad: true,
    ipam: { type: 'static', addresses: [{ address: 'fd00::5/64', gateway: 'fd00::1' }] },
  });
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  lab.add(conf, { sandbox: one });
  const [eth0] = one.ip<LinkJson>('addr', 'show', 'dev', 'eth0');
  t.deepEqual(
    (eth0?.addr_info ?? []).filter(({ tentative, nodad }) => tentative || nodad),
    [],
  );
  t.is(one.run('cat', '/proc/sys/net/ipv6/conf/eth0/accept_dad').trim(), '1');
  const before = lab.snapshot();
  const { status, output } = lab.exec('ADD', conf, { sandbox: two });
  t.is(status, 1);
  t.is(output.code, 102);
  t.is(output.msg, 'Cannot use the address fd00::5/64: another station has it');
  t.is(lab.snapshot(), before);
  t.is(two.ip('link').length, 1);
});

test.serial(
  'ipMasq: the address is an element of the map of its family, gone with DEL, whichever back end is named',
  (t) => {
    const lab = new Lab(t);
    for (const ipMasqBackend of [undefined, 'iptables', 'nftables']) {
      const sandbox = lab.sandbox(`c-${ipMasqBackend}`);
      const conf = bridgeConf({ ipMasq: true, ipMasqBackend, ipam: hostLocal('10.1.0.0/24', 'fd00::/64') });
      const { ips = [] } = lab.add(conf, { sandbox });
      const ruleset = execFileSync('nft', ['-j', 'list', 'ruleset'], { encoding: 'utf8' });
      for (const { address } of ips) t.true(ruleset.includes(`"${address.replace(/\/.*/, '')}"`), address);
      t.true(ruleset.includes(`net/c-${ipMasqBackend}/eth0`));
      lab.del(conf, { sandbox });
      t.is(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }), '');
    }
  },
);

test.serial('ipMasq: what leaves the subnet has an address of the host, what stays in it keeps its own', (t) => {
  const lab = new Lab(t);
  const conf = bridgeConf({ ipMasq: true, ipam: hostLocal('10.1.0.0/24', 'fd00::/64') });
  const [one, outside] = [lab.sandbox('c1'), lab.sandbox('outside')];
  lab.add(conf, { sandbox: one });
  // A station outside that has no route back to the containers, so its answers only reach the host's own address.
  execFileSync('ip', ['link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'eth0']);
  execFileSync('ip', ['link', 'set', 'eth0', 'netns', outside.path]);
  for (const address of ['192.0.2.1/24', '2001:db8::1/64'])
    execFileSync('ip', ['addr', 'add', address, 'dev', 'up0', ...nodad(address)]);
  for (const address of ['192.0.2.2/24', '2001:db8::2/64'])
    outside.run('ip', 'addr', 'add', address, 'dev', 'eth0', ...nodad(address));
  execFileSync('ip', ['link', 'set', 'up0', 'up']);
  outside.run('ip', 'link', 'set', 'eth0', 'up');
  t.true(one.reaches('192.0.2.2'));
  t.true(one.reaches('2001:db8::2'));
  lab.add({ ...conf, ipMasq: false }, { sandbox: lab.sandbox('c2') });
});

test.serial('dns of the configuration goes before that of IPAM', (t) => {
  const lab = new Lab(t);
  writeFileSync(`${lab.root}/resolv.conf`, 'nameserver 10.1.0.53\nsearch example.org\n');
  const ipam = { ...hostLocal('10.1.0.0/24'), resolvConf: `${lab.root}/resolv.conf` };
  t.deepEqual(lab.add(bridgeConf({ ipam }), { sandbox: lab.sandbox('c1') }).dns, {
    nameservers: ['10.1.0.53'],
    search: ['example.org'],
  });
  const dns = { nameservers: ['192.0.2.53'], domain: 'example.com' };
  t.deepEqual(lab.add(bridgeConf({ ipam, dns }), { sandbox: lab.sandbox('c2') }).dns, dns);
});

test.serial(
  'several ranges of a set: the next one when the first is full, of several sets: an address of each',
  (t) => {
    const lab = new Lab(t);
    const ranges = [[{ subnet: '10.1.0.0/30' }, { subnet: '10.2.0.0/30' }], [{ subnet: 'fd00::/64' }]];
    const conf = bridgeConf({ isDefaultGateway: false, ipam: { type: 'host-local', ranges } });
    const addresses = ['c1', 'c2'].map((name) =>
      lab.add(conf, { sandbox: lab.sandbox(name) }).ips?.map(({ address }) => address),
    );
    t.deepEqual(addresses, [
      ['10.1.0.2/30', 'fd00::2/64'],
      ['10.2.0.2/30', 'fd00::3/64'],
    ]);
  },
);

test.serial('the result comes in the version of the configuration', (t) => {
  const lab = new Lab(t);
  const keys = (version: string) => {
    const sandbox = lab.sandbox(`v${version}`);
    const result = lab.add(bridgeConf({ cniVersion: version }), { sandbox });
    t.is(result.cniVersion, version);
    lab.del(bridgeConf({ cniVersion: version }), { sandbox });
    return [Object.keys(result), Object.keys(result.interfaces?.[2] ?? {}), Object.keys(result.ips?.[0] ?? {})];
  };
  const old = [['cniVersion', 'ip4'], [], []];
  const lists = ['cniVersion', 'interfaces', 'ips', 'routes'];
  const middle = [lists, ['name', 'mac', 'sandbox'], ['version', 'interface', 'address', 'gateway']];
  const recent = [lists, ['name', 'mac', 'mtu', 'sandbox'], ['interface', 'address', 'gateway']];
  for (const version of ['0.1.0', '0.2.0']) t.deepEqual(keys(version), old);
  for (const version of ['0.3.0', '0.3.1', '0.4.0']) t.deepEqual(keys(version), middle);
  for (const version of ['1.0.0', '1.1.0']) t.deepEqual(keys(version), recent);
});

test.serial('a kernel without VLAN filtering is told in one sentence that names it, and nothing is left', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  for (const conf of [{ vlan: 100 }, { vlanTrunk: [{ minID: 100, maxID: 110 }] }].map(bridgeConf)) {
    const { status, output } = lab.exec('ADD', conf, { sandbox });
    if (isThere('bridge vlan_filtering')) {
      t.is(status, 0);
      lab.del(conf, { sandbox });
      continue;
    }
    t.is(output.code, 105);
    t.regex(output.msg ?? '', /^Cannot filter VLANs on the bridge "cni0": this kernel is built without/);
    t.deepEqual(
      ip('link').map(({ ifname }) => ifname),
      ['lo'],
    );
    t.is(sandbox.ip('link').length, 1);
  }
});

const onFiltering = needs('bridge vlan_filtering');

/** The VLAN ids of a port with their flags, as `bridge vlan` prints them. */
function vlansOf(dev: string): string[] {
  const [port] = JSON.parse(execFileSync('bridge', ['-j', 'vlan', 'show', 'dev', dev], { encoding: 'utf8' })) as {
    vlans: { vlan: number; vlanEnd?: number; flags?: string[] }[];
  }[];
  return (port?.vlans ?? []).map(({ vlan, vlanEnd, flags = [] }) =>
    [vlanEnd === undefined ? vlan : `${vlan}-${vlanEnd}`, ...flags].join(' '),
  );
}

onFiltering('vlan: the port is in that VLAN, with the default one beside it unless told otherwise', (t) => {
  const lab = new Lab(t);
  const conf = bridgeConf({ vlan: 100, isDefaultGateway: false });
  const one = lab.add(conf, { sandbox: lab.sandbox('c1') });
  t.deepEqual(vlansOf(one.interfaces?.[1]?.name ?? ''), ['1 Egress Untagged', '100 PVID Egress Untagged']);
  const two = lab.add({ ...conf, preserveDefaultVlan: false }, { sandbox: lab.sandbox('c2') });
  t.deepEqual(vlansOf(two.interfaces?.[1]?.name ?? ''), ['100 PVID Egress Untagged']);
});

onFiltering('vlanTrunk: the port carries all of them with tags', (t) => {
  const lab = new Lab(t);
  const vlanTrunk = [{ id: 42 }, { minID: 100, maxID: 102 }];
  const conf = bridgeConf({ vlanTrunk, preserveDefaultVlan: false, isDefaultGateway: false });
  const { interfaces = [] } = lab.add(conf, { sandbox: lab.sandbox('c1') });
  t.deepEqual(vlansOf(interfaces[1]?.name ?? ''), ['42', '100', '101', '102']);
});

needs('vlan')('vlan with a gateway: it has an interface of its own on the bridge, and containers reach it', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const conf = bridgeConf({ vlan: 100 });
  const result = lab.add(conf, { sandbox });
  t.is(result.interfaces?.[3]?.name, 'cni0.100');
  t.deepEqual(globals(link('cni0.100')), ['10.1.0.1/24']);
  t.deepEqual(globals(link('cni0')), []);
  t.true(sandbox.reaches('10.1.0.1'));
  lab.check(conf, { sandbox }, result);
});
