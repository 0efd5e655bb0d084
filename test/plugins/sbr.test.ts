/**
 * sbr as a container runtime executes it, after the bridge of a secondary interface. The judges are `ip` and the paths
 * of packets.
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { becomeHost, type Sandbox } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Output, REFERENCE, type Target } from '../support/lab.ts';

becomeHost();

const network = (n: number, more: Json = {}): Json =>
  bridgeConf({
    name: `net${n}`,
    bridge: `cni${n}`,
    ipam: { type: 'host-local', ranges: [[{ subnet: `10.${n}.0.0/24` }], [{ subnet: `fd0${n}::/64` }]] },
    ...more,
  });
const sbr = (more: Json = {}): Json => ({ cniVersion: '1.1.0', name: 'net2', type: 'sbr', ...more });

interface Container {
  readonly sandbox: Sandbox;
  readonly target: Target & { readonly sandbox: Sandbox };
  readonly prevResult: Output;
}

/** A container with a first interface, eth0, and a second, net1. */
function attached(lab: Lab): Container {
  const sandbox = lab.sandbox('c1');
  lab.add(network(1), { sandbox });
  const target = { sandbox, ifname: 'net1' };
  return { sandbox, target, prevResult: lab.add(network(2), target) };
}

interface Route {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev: string;
  readonly prefsrc?: string;
}

const own = (routes: Route[]) =>
  routes.map(({ dst, gateway, dev }) => `${dst}${gateway ? ` via ${gateway}` : ''} dev ${dev}`).sort();
const table = (sandbox: Sandbox, family: 4 | 6, id: string) => {
  try {
    return own(sandbox.ip<Route>(`-${family}`, 'route', 'show', 'table', id));
  } catch {
    return []; // the table never existed
  }
};
const rules = (sandbox: Sandbox) =>
  ([4, 6] as const).flatMap((family) =>
    sandbox
      .ip<{ src: string; table: string; protocol?: string }>(`-${family}`, 'rule', 'show')
      .filter(({ src }) => src !== 'all')
      .map(({ src, table: id, protocol }) => `${src} to ${id} by ${protocol}`),
  );

/** Addresses, rules and the routes of every table of the container. */
function stateOf(sandbox: Sandbox): string {
  const run = (...args: string[]) => sandbox.run('ip', ...args);
  return (
    [
      run('-4', 'rule'),
      run('-6', 'rule'),
      ...run('route', 'show', 'table', 'all').split('\n').sort(), // of both families
    ]
      // The kernel itself adds these some time after the link.
      .filter((line) => !/fe80::|ff00::|table local/.test(line))
      .join('\n')
  );
}

const dev = (sandbox: Sandbox, to: string, from: string) => sandbox.ip<Route>('route', 'get', to, 'from', from)[0]?.dev;

test.serial('routes of the interface move to the first free table, and what has its addresses is routed there', (t) => {
  const lab = new Lab(t);
  const { sandbox, target, prevResult } = attached(lab);
  t.deepEqual(lab.add({ ...sbr(), prevResult }, target), prevResult);
  t.deepEqual(rules(sandbox), ['10.2.0.2 to 100 by 110', 'fd02::2 to 100 by 110']);
  t.deepEqual(table(sandbox, 4, '100'), ['10.2.0.0/24 dev net1', 'default via 10.2.0.1 dev net1']);
  t.deepEqual(table(sandbox, 6, '100'), ['default via fd02::1 dev net1', 'fd02::/64 dev net1']);
  t.deepEqual(table(sandbox, 4, 'main'), ['10.1.0.0/24 dev eth0', 'default via 10.1.0.1 dev eth0']);
  t.deepEqual(table(sandbox, 6, 'main'), [
    'default via fd01::1 dev eth0',
    'fd01::/64 dev eth0',
    'fe80::/64 dev eth0',
    'fe80::/64 dev net1',
  ]);
  t.is(dev(sandbox, '192.0.2.9', '10.2.0.2'), 'net1');
  t.is(dev(sandbox, '192.0.2.9', '10.1.0.2'), 'eth0');
  t.is(dev(sandbox, '2001:db8::9', 'fd02::2'), 'net1');
  t.is(dev(sandbox, '2001:db8::9', 'fd01::2'), 'eth0');
  // An address on the host, which is the gateway of both links: answers come back on the same link.
  execFileSync('ip', ['addr', 'add', '192.0.2.9/32', 'dev', 'lo']);
  t.teardown(() => execFileSync('ip', ['addr', 'del', '192.0.2.9/32', 'dev', 'lo']));
  for (const from of ['10.1.0.2', '10.2.0.2']) sandbox.run('ping', '-c', '1', '-w', '10', '-I', from, '192.0.2.9');
  lab.check(sbr(), target, prevResult);
  lab.check(network(2), target, prevResult); // its routes exist, even if in another table
});

test.serial('DEL removes rules and table, twice; the interface goes as it came', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const first = lab.add(network(1), { sandbox });
  const target = { sandbox, ifname: 'net1' };
  lab.del({ ...network(2), prevResult: first }, target);
  const before = stateOf(sandbox);
  for (const withResult of [true, false]) {
    const prevResult = lab.add(network(2), target);
    const between = stateOf(sandbox);
    lab.add({ ...sbr(), prevResult }, target);
    t.not(stateOf(sandbox), between);
    const given = withResult ? { prevResult } : {};
    lab.del({ ...sbr(), ...given }, target);
    t.is(stateOf(sandbox), between);
    lab.del({ ...sbr(), ...given }, target);
    t.is(stateOf(sandbox), between);
    lab.del({ ...network(2), ...given }, target);
    t.is(stateOf(sandbox), before);
  }
});

test.serial('DEL after the interface has gone removes the rules, with prevResult and without', (t) => {
  const lab = new Lab(t);
  for (const withResult of [true, false]) {
    const { sandbox, target, prevResult } = attached(lab);
    lab.add({ ...sbr(), prevResult }, target);
    sandbox.run('ip', 'link', 'del', 'net1');
    t.is(rules(sandbox).length, 2);
    lab.del({ ...sbr(), ...(withResult && { prevResult }) }, target);
    t.deepEqual(rules(sandbox), []);
    lab.del(network(2), target);
    lab.del(network(1), { sandbox });
    sandbox[Symbol.dispose]();
  }
});

test.serial('two of them take two tables, also at once; DEL of one leaves the other', async (t) => {
  const lab = new Lab(t);
  const { sandbox, target, prevResult } = attached(lab);
  const third = { sandbox, ifname: 'net2' };
  const other = lab.add(network(3), third);
  const ends = await Promise.all([
    lab.start('ADD', { ...sbr(), prevResult }, target),
    lab.start('ADD', { ...sbr({ name: 'net3' }), prevResult: other }, third),
  ]);
  t.deepEqual(
    ends.map(({ status }) => status),
    [0, 0],
  );
  const tables = new Set(rules(sandbox).map((text) => text.split(' ')[2]));
  t.deepEqual([...tables].sort(), ['100', '101']);
  lab.check(sbr(), target, prevResult);
  lab.check(sbr({ name: 'net3' }), third, other);
  lab.del({ ...sbr(), prevResult }, target);
  lab.check(sbr({ name: 'net3' }), third, other);
  t.is(rules(sandbox).length, 2);
});

test.serial('table: the one asked for, with 32 bits; a table that somebody uses is passed over', (t) => {
  const lab = new Lab(t);
  const { sandbox, target, prevResult } = attached(lab);
  const conf = sbr({ table: 4_000_000_000 });
  lab.add({ ...conf, prevResult }, target);
  t.deepEqual(rules(sandbox), ['10.2.0.2 to 4000000000 by 110', 'fd02::2 to 4000000000 by 110']);
  lab.check(conf, target, prevResult);
  lab.del({ ...conf, prevResult }, target);
  lab.del(network(2), target);
  sandbox.run('ip', 'rule', 'add', 'from', '10.77.0.0/16', 'table', '100');
  sandbox.run('ip', 'route', 'add', 'blackhole', '10.78.0.0/16', 'table', '101');
  sandbox.run('ip', 'route', 'add', '10.79.0.0/16', 'dev', 'eth0', 'table', '102');
  const again = lab.add(network(2), target);
  lab.add({ ...sbr(), prevResult: again }, target);
  t.true(
    rules(sandbox).some((text) => /^10.2.0.\d+ to (101|103) by 110$/.test(text)),
    rules(sandbox).join(),
  );
});

test.serial('routes of IPAM move along with what they have', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(network(1), { sandbox });
  const target = { sandbox, ifname: 'net1' };
  const ipam = {
    type: 'host-local',
    ranges: [[{ subnet: '10.2.0.0/24' }]],
    routes: [{ dst: '10.50.0.0/16', gw: '10.2.0.7', mtu: 1400, priority: 50 }],
  };
  const prevResult = lab.add(network(2, { isDefaultGateway: false, ipam }), target);
  lab.add({ ...sbr(), prevResult }, target);
  const moved = sandbox.ip('route', 'show', 'table', '100').find((each) => each['dst'] === '10.50.0.0/16');
  t.like(moved, { gateway: '10.2.0.7', metric: 50, metrics: [{ mtu: 1400 }] });
  t.deepEqual(table(sandbox, 4, 'main'), ['10.1.0.0/24 dev eth0', 'default via 10.1.0.1 dev eth0']);
  // A default route through the gateway of the address, although none was configured.
  t.true(table(sandbox, 4, '100').includes('default via 10.2.0.1 dev net1'));
});

test.serial('table and rules are those of the reference plugin, and DEL removes what it made', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(network(1), { sandbox });
  const target = { sandbox, ifname: 'net1' };
  const conf = network(2, { ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }]] } });
  const prevResult = lab.add(conf, target);
  const before = stateOf(sandbox);
  const shown = () => [
    rules(sandbox).map((text) => text.replace(/ by .*/, '')),
    table(sandbox, 4, '100'),
    table(sandbox, 4, 'main'),
  ];
  const old = { ...sbr(), cniVersion: '1.0.0', prevResult: { ...prevResult, cniVersion: '1.0.0' } };
  lab.add(old, target, { bin: REFERENCE });
  const theirs = shown();
  lab.del(old, target);
  t.deepEqual(rules(sandbox), []);
  t.is(stateOf(sandbox), before);
  lab.add({ ...sbr(), prevResult }, target);
  t.deepEqual(shown(), theirs);
});

test.serial('two addresses with two gateways have a table each, each with its own way out', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(network(1), { sandbox });
  const target = { sandbox, ifname: 'net1' };
  const ranges = ['10.2.0.0/24', '10.4.0.0/24', 'fd02::/64'].map((subnet) => [{ subnet }]);
  const prevResult = lab.add(network(2, { isDefaultGateway: false, ipam: { type: 'host-local', ranges } }), target);
  const before = stateOf(sandbox);
  lab.add({ ...sbr(), prevResult }, target);
  t.deepEqual(rules(sandbox), ['10.4.0.2 to 101 by 110', '10.2.0.2 to 100 by 110', 'fd02::2 to 100 by 110']);
  const via = (from: string) => sandbox.ip<Route>('route', 'get', '192.0.2.9', 'from', from)[0]?.gateway;
  t.deepEqual(['10.2.0.2', '10.4.0.2'].map(via), ['10.2.0.1', '10.4.0.1']);
  lab.check(sbr(), target, prevResult);
  lab.del({ ...sbr(), prevResult }, target);
  t.is(stateOf(sandbox), before);
});

for (const [title, change, says] of [
  ['a rule', 'ip rule del from 10.2.0.2', /the rule from 10.2.0.2\/32 is missing/],
  ['the default route', 'ip route del default table 100', /the default route from 10.2.0.2 in table 100 is missing/],
  ['the interface', 'ip link del net1', /the interface "net1" in the container is missing/],
] as const) {
  test.serial(`CHECK names what is missing: ${title}`, (t) => {
    const lab = new Lab(t);
    const { sandbox, target, prevResult } = attached(lab);
    lab.add({ ...sbr(), prevResult }, target);
    sandbox.run('bash', '-c', change);
    const { output } = lab.exec('CHECK', { ...sbr(), prevResult }, target);
    t.is(output.code, 110);
    t.regex(output.msg ?? '', says);
  });
}

for (const [conf, code, says] of [
  [{ table: 0 }, 7, /"table" is 0, expected a whole number from 1 to 4294967295/],
  [{ table: 2 ** 32 }, 7, /"table" is 4294967296/],
  [{ table: 254 }, 7, /"table" is 254, expected another than 253 to 255/],
  [{ table: 'main' }, 7, /"table" is "main"/],
  [{ prevResult: { cniVersion: '1.1.0', interfaces: [] } }, 7, /No IP addresses supplied on interface "net1"/],
  [{ prevResult: undefined }, 7, /"prevResult" is missing/],
] as const) {
  test.serial(`refused, and nothing changes: ${JSON.stringify(conf)} ${Object.keys(conf)}`, (t) => {
    const lab = new Lab(t);
    const { sandbox, target, prevResult } = attached(lab);
    const before = stateOf(sandbox);
    const { status, output } = lab.exec('ADD', { ...sbr(), prevResult, ...conf }, target);
    t.is(status, 1);
    t.is(output.code, code, output.msg);
    t.regex(output.msg ?? '', says);
    t.is(stateOf(sandbox), before);
  });
}

test.serial('DEL without the namespace, GC and STATUS succeed', (t) => {
  const lab = new Lab(t);
  const { sandbox, target, prevResult } = attached(lab);
  lab.add({ ...sbr(), prevResult }, target);
  lab.del(sbr(), { containerId: 'c1', ifname: 'net1', netns: `${lab.root}/netns/never` });
  t.is(rules(sandbox).length, 2);
  lab.gc(sbr(), []);
  t.is(lab.exec('STATUS', sbr()).status, 0);
  const gone = lab.exec('ADD', { ...sbr(), prevResult }, { sandbox, ifname: 'net9' });
  t.is(gone.output.code, 112);
  t.regex(gone.output.msg ?? '', /Cannot route by the source of "net9": the container has no interface of that name/);
});
