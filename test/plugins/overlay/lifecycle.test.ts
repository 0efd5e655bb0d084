/**
 * The life of an overlay on one machine: second ADDs, DEL, CHECK, GC, STATUS, peers that change, devices that vanish.
 */
import test, { type ExecutionContext } from 'ava';
import { becomeHost } from '../../support/host.ts';
import { type Json, WITHOUT_NETLINK } from '../../support/lab.ts';
import { Cluster, type Container, type Machine } from './cluster.ts';

becomeHost();

/** A cluster with the machine that is tested first. */
function withMachine(t: Pick<ExecutionContext, 'teardown'>, count = 2): [Cluster, Machine, Machine] {
  const cluster = new Cluster(t, { count });
  const [one, two] = cluster.machines;
  if (one === undefined || two === undefined) throw new Error('there are two');
  return [cluster, one, two];
}

/** The overlay links of a machine. */
function devices({ sandbox }: Machine): string[] {
  return sandbox
    .ip<{ ifname: string; ifalias?: string }>('link')
    .filter(({ ifalias }) => ifalias?.startsWith('netloom-overlay:'))
    .map(({ ifname }) => ifname.slice(0, 4))
    .sort();
}

function tunnelOf({ sandbox }: Machine): string {
  return sandbox.ip<{ ifname: string }>('link').find(({ ifname }) => ifname.startsWith('nlx-'))?.ifname ?? '';
}

function stations(machine: Machine): string[] {
  const fdb = machine.sandbox.run('bridge', '-j', 'fdb', 'show', 'dev', tunnelOf(machine));
  return (JSON.parse(fdb) as { dst: string }[]).map(({ dst }) => dst).sort();
}

test.serial(
  'a second ADD fails and leaves the first one whole; DEL twice succeeds, also without the namespace',
  (t) => {
    const [cluster, one] = withMachine(t);
    const empty = cluster.snapshot(one);
    const container = cluster.add(one, 'c1');
    const before = cluster.snapshot(one);
    const { lab } = cluster;
    t.is(lab.exec('ADD', cluster.conf(), { sandbox: container.sandbox }, cluster.on(one)).output.code, 111);
    const other = lab.sandbox('other');
    t.is(lab.exec('ADD', cluster.conf(), { sandbox: other, containerId: 'c1' }, cluster.on(one)).output.code, 103);
    t.is(cluster.snapshot(one), before);
    lab.del(cluster.conf(), { sandbox: container.sandbox, netns: '' }, cluster.on(one));
    t.is(cluster.snapshot(one), empty);
    cluster.del(one, container);
    t.is(cluster.snapshot(one), empty);
  },
);

test.serial('the devices go with the last container, and not before', (t) => {
  const [cluster, one] = withMachine(t);
  const [first, second] = [cluster.add(one, 'c1'), cluster.add(one, 'c2')];
  cluster.del(one, first);
  t.deepEqual(devices(one), ['nlb-', 'nlx-']);
  t.deepEqual(cluster.check(one, second), {} as never);
  cluster.del(one, second);
  t.deepEqual(devices(one), []);
});

test.serial('routed: a wire of its own for each container, none on the bridge; the devices go with the last', (t) => {
  const [cluster, one] = withMachine(t);
  const conf = cluster.conf({ wiring: 'routed' });
  const empty = cluster.snapshot(one);
  const [first, second] = [cluster.add(one, 'c1', conf), cluster.add(one, 'c2', conf)];
  t.deepEqual(
    first.result.interfaces?.map(({ name }) => name.slice(0, 4)),
    ['veth', 'eth0'],
  );
  t.is(first.result.ips?.[0]?.interface, 1);
  const links = one.sandbox.ip<{ ifname: string; master?: string }>('link');
  t.deepEqual(
    links.filter(({ master }) => master !== undefined),
    [],
  );
  const [end] = first.result.interfaces ?? [];
  t.regex(one.sandbox.run('ip', 'route', 'show', first.address), new RegExp(`^${first.address} dev ${end?.name} `));
  t.deepEqual(cluster.unreached(first, [second.address, '10.96.1.1']), []);
  const bridge = one.sandbox.ip<{ ifname: string }>('link').find(({ ifname }) => ifname.startsWith('nlb-'));
  one.sandbox.run('ip', 'link', 'del', bridge?.ifname ?? '');
  cluster.del(one, first, conf);
  t.deepEqual(devices(one), ['nlx-'], 'another container has its wire');
  const third = cluster.add(one, 'c3', conf);
  t.deepEqual(devices(one), ['nlb-', 'nlx-']);
  cluster.del(one, third, conf);
  t.deepEqual(cluster.check(one, second, conf), {} as never);
  one.sandbox.run('ip', 'route', 'del', second.address);
  t.regex(
    cluster.check(one, second, conf).msg ?? '',
    new RegExp(`the route to ${second.address} on the host is missing`),
  );
  const gc = cluster.lab.exec('GC', { ...conf, 'cni.dev/valid-attachments': [] }, {}, cluster.on(one));
  t.is(gc.status, 0);
  t.is(cluster.snapshot(one), empty);
});

test.serial('GC removes exactly what is not listed, and the devices with the last', (t) => {
  const [cluster, one] = withMachine(t);
  const empty = cluster.snapshot(one);
  const kept = cluster.add(one, 'keep');
  const before = cluster.snapshot(one);
  for (const name of ['a', 'b']) cluster.add(one, name);
  const gc = (valid: readonly Json[]) =>
    cluster.lab.exec('GC', { ...cluster.conf(), 'cni.dev/valid-attachments': valid }, {}, cluster.on(one)).status;
  t.is(gc([{ containerID: 'keep', ifname: 'eth0' }]), 0);
  t.is(cluster.snapshot(one), before);
  t.deepEqual(cluster.check(one, kept), {} as never);
  t.is(gc([]), 0);
  t.is(cluster.snapshot(one), empty);
});

test.serial('ADDs and DELs at once end with what is left of them, and with nothing after the last', async (t) => {
  const [cluster, one] = withMachine(t);
  const empty = cluster.snapshot(one);
  const { lab } = cluster;
  const sandboxes = Array.from({ length: 6 }, (_, i) => lab.sandbox(`c${i}`));
  const all = (command: string) =>
    sandboxes.map((sandbox) => lab.start(command, cluster.conf(), { sandbox }, cluster.on(one)));
  const ends = await Promise.all(all('ADD'));
  t.deepEqual(
    ends.map(({ status, stdout }) => (status === 0 ? 0 : stdout)),
    sandboxes.map(() => 0),
  );
  t.is(new Set(ends.map(({ output }) => output.ips?.[0]?.address)).size, sandboxes.length);
  const rest = await Promise.all(all('DEL'));
  t.deepEqual(
    rest.map(({ status, stdout }) => (status === 0 ? 0 : stdout)),
    sandboxes.map(() => 0),
  );
  t.is(cluster.snapshot(one), empty);
});

for (const [title, spoil, says] of [
  ['the tunnel gone', (m) => ['ip', 'link', 'del', tunnelOf(m)], /the link "nlx-\w+" of the overlay is missing/],
  [
    'the tunnel down',
    (m) => ['ip', 'link', 'set', tunnelOf(m), 'down'],
    /"nlx-\w+" is down; .*the route to 10\.96\.2\.0\/24/,
  ],
  ['another MTU', (m) => ['ip', 'link', 'set', tunnelOf(m), 'mtu', '1300'], /"nlx-\w+" has another mtu, expected 1450/],
  [
    'an entry of the FDB gone',
    (m) => [
      'bash',
      '-ec',
      `for mac in $(bridge fdb show dev ${tunnelOf(m)} | cut -d' ' -f1); do bridge fdb del $mac dev ${tunnelOf(m)}; done`,
    ],
    /the FDB entry that leads \S+ to 192\.0\.2\.12 is missing/,
  ],
  [
    'a station too many',
    (m) => ['bridge', 'fdb', 'add', '02:00:00:00:00:09', 'dev', tunnelOf(m), 'dst', '192.0.2.77'],
    /leads 02:00:00:00:00:09 to 192\.0\.2\.77 leads nowhere any more/,
  ],
  [
    'a neighbour gone',
    (m) => ['ip', 'neigh', 'del', '10.96.2.0', 'dev', tunnelOf(m)],
    /the neighbour 10\.96\.2\.0 with the MAC \S+ is missing/,
  ],
  [
    'a route gone',
    () => ['ip', 'route', 'del', '10.96.2.0/24'],
    /the route to 10\.96\.2\.0\/24 by 10\.96\.2\.0 is missing/,
  ],
  [
    'the gateway gone',
    () => [
      'bash',
      '-ec',
      'ip addr del 10.96.1.1/24 dev $(ls /sys/class/net 2>/dev/null | grep nlb- || ip -o link | grep -o "nlb-[0-9a-f]*" | head -1)',
    ],
    /lacks the address 10\.96\.1\.1\/24/,
  ],
  [
    'nftables flushed',
    () => ['nft', 'flush', 'ruleset'],
    /keep their mark in the tunnel.*the address 10\.96\.1\.2 is not masqueraded/,
  ],
] as const satisfies readonly (readonly [string, (machine: Machine) => readonly string[], RegExp])[]) {
  test.serial(`CHECK names the difference, and the next ADD makes it right: ${title}`, (t) => {
    const [cluster, one, two] = withMachine(t);
    const [container, peer] = [cluster.add(one, 'c1'), cluster.add(two, 'c2')];
    const [program = '', ...args] = spoil(one);
    one.sandbox.run(program, ...args);
    const { code, msg } = cluster.check(one, container);
    t.is(code, 110);
    t.regex(msg ?? '', says);
    if (title === 'nftables flushed') return; // an ADD only restores its own elements
    cluster.add(one, 'c3');
    t.deepEqual(cluster.check(one, container), {} as never);
    t.deepEqual(cluster.unreached(container, [peer.address]), []);
  });
}

test.serial('peers that join, leave and move are followed with the next ADD', (t) => {
  const [cluster, one] = withMachine(t, 3);
  const nodes = cluster.nodes();
  const conf = (list: readonly Json[]) => cluster.conf({ store: { type: 'static', nodes: list } });
  cluster.add(one, 'c1', conf(nodes.slice(0, 2)));
  t.deepEqual(stations(one), ['192.0.2.12']);
  cluster.add(one, 'c2', conf(nodes));
  t.deepEqual(stations(one), ['192.0.2.12', '192.0.2.13']);
  cluster.add(one, 'c3', conf([nodes[0] ?? {}, { ...nodes[1], address: '192.0.2.22' }, nodes[2] ?? {}]));
  t.deepEqual(stations(one), ['192.0.2.13', '192.0.2.22']);
  cluster.add(one, 'c4', conf([nodes[0] ?? {}, nodes[2] ?? {}]));
  t.deepEqual(stations(one), ['192.0.2.13']);
  t.notRegex(one.sandbox.run('ip', 'route'), /10\.96\.2\./);
  t.notRegex(one.sandbox.run('ip', 'neigh', 'show', 'nud', 'permanent'), /10\.96\.2\./);
});

test.serial('what cannot be changed of a tunnel is made anew, and containers that are there go on', (t) => {
  const [cluster, one, two] = withMachine(t);
  const first = cluster.add(one, 'c1');
  for (const more of [{ vni: 77 }, { vni: 77, port: 8472 }, { mode: 'direct' }, { mode: 'l3' }]) {
    const conf = cluster.conf(more);
    const suffix = JSON.stringify(more).replace(/\W/g, '');
    cluster.add(one, `a${suffix}`, conf);
    const peer = cluster.add(two, `b${suffix}`, conf);
    t.deepEqual(cluster.unreached(first, [peer.address]), [], suffix);
  }
});

test.serial('the MTU follows the underlay, and one that does not fit is refused', (t) => {
  const [cluster, one] = withMachine(t);
  cluster.add(one, 'c1');
  one.sandbox.run('ip', 'link', 'set', 'eth0', 'mtu', '1400');
  t.is(cluster.add(one, 'c2').result.interfaces?.[2]?.mtu, 1350);
  t.is(one.sandbox.ip<{ mtu: number }>('link', 'show', tunnelOf(one))[0]?.mtu, 1350);
  t.is(cluster.add(one, 'c3', cluster.conf({ mtu: 1280 })).result.interfaces?.[2]?.mtu, 1280);
  const { output } = cluster.lab.exec(
    'ADD',
    cluster.conf({ mtu: 1351 }),
    { sandbox: cluster.lab.sandbox('c4') },
    cluster.on(one),
  );
  t.is(output.code, 7);
  t.is(
    output.msg,
    'failed to load netconf: "mtu" is 1351, expected 0 or at most 1350: the underlay carries 1400 bytes',
  );
});

test.serial("a container's MAC follows from its address, unless the runtime asks for another", (t) => {
  const [cluster, one] = withMachine(t);
  const mac = ({ result }: Container) => result.interfaces?.[2]?.mac;
  const ipam = (address: string) => ({ args: { cni: { ips: [address] } } });
  const first = cluster.add(one, 'c1', cluster.conf(ipam('10.96.1.9')));
  cluster.del(one, first);
  const second = cluster.add(one, 'c2', cluster.conf(ipam('10.96.1.9')));
  t.is(second.address, '10.96.1.9');
  t.is(mac(second), mac(first));
  const asked = cluster.conf({ runtimeConfig: { mac: '02:11:22:33:44:55' } });
  t.is(mac(cluster.add(one, 'c3', asked)), '02:11:22:33:44:55');
});

for (const [more, code, says] of [
  [{}, 50, 'Cannot masquerade: the kernel has no nf_tables (CONFIG_NF_TABLES)'],
  [{ ipMasq: false }, 50, 'Cannot keep packets in the overlay: the kernel has no nf_tables (CONFIG_NF_TABLES)'],
  [{ mode: 'direct', internal: true }, 50, 'Cannot keep packets in the overlay: the kernel has no nf_tables'],
  [{ mode: 'direct', ipMasq: false }, 105, 'Cannot open a netlink socket'],
] as const) {
  test.serial(`STATUS on a kernel without nf_tables: ${JSON.stringify(more)}`, (t) => {
    const [cluster] = withMachine(t);
    const { output } = cluster.lab.exec('STATUS', cluster.conf(more), {}, { wrap: WITHOUT_NETLINK });
    t.is(output.code, code, output.msg);
    t.true(output.msg?.startsWith(says), output.msg);
  });
}

test.serial('a machine that is none of the nodes says so, with STATUS and ADD; a DEL succeeds there', (t) => {
  const [cluster, one] = withMachine(t);
  const empty = cluster.snapshot(one);
  const conf = cluster.conf({ store: { type: 'static', nodes: cluster.nodes().slice(1) } });
  const { lab } = cluster;
  const sandbox = lab.sandbox('c1');
  for (const command of ['STATUS', 'ADD']) {
    const { output } = lab.exec(command, conf, command === 'ADD' ? { sandbox } : {}, cluster.on(one));
    t.is(output.code, 50);
    t.is(output.msg, 'This machine is not a node of the overlay: it has none of the addresses 192.0.2.12');
  }
  lab.del(conf, { sandbox }, cluster.on(one));
  t.is(cluster.snapshot(one), empty);
  t.is(lab.exec('STATUS', cluster.conf(), {}, cluster.on(one)).status, 0);
});

test.serial('direct: nodes that stand in the configuration and are behind a router are refused', (t) => {
  const [cluster, one] = withMachine(t);
  const empty = cluster.snapshot(one);
  const nodes = cluster.nodes().map((node, i) => (i === 1 ? { ...node, address: '203.0.113.9' } : node));
  const conf = cluster.conf({ mode: 'direct', store: { type: 'static', nodes } });
  const sandbox = cluster.lab.sandbox('c1');
  const refused = () => cluster.lab.exec('ADD', conf, { sandbox }, cluster.on(one)).output;
  const { code, msg } = refused();
  t.is(code, 50);
  t.is(
    msg,
    `Cannot route directly to the node "n2" (203.0.113.9): no route leads there, expected it on a layer 2 of this machine's`,
  );
  t.is(cluster.snapshot(one), empty);
  one.sandbox.run('ip', 'route', 'add', 'default', 'via', '192.0.2.254');
  t.regex(refused().msg ?? '', /it is behind the router 192\.0\.2\.254, expected/);
});

test.serial('two networks on the same machines are apart, and one that takes the VNI of another is refused', (t) => {
  const [cluster, one, two] = withMachine(t);
  const other = (more: Json = {}) => {
    const nodes = cluster.nodes().map((node, i) => ({ ...node, subnet: `10.97.${i + 1}.0/24` }));
    return cluster.conf({ name: 'other', subnet: '10.97.0.0/16', store: { type: 'static', nodes }, ...more });
  };
  const here = cluster.add(one, 'c1', cluster.conf({ vni: 7 }));
  const [a, b] = [cluster.add(one, 'c2', other()), cluster.add(two, 'c3', other())];
  t.deepEqual(cluster.unreached(a, [b.address]), []);
  cluster.del(one, a, other());
  const { output } = cluster.lab.exec('ADD', other({ vni: 7 }), { sandbox: a.sandbox }, cluster.on(one));
  t.is(output.code, 111);
  t.regex(output.msg ?? '', /another one on this machine has the VNI 7 and the port 4789/);
  t.deepEqual(cluster.check(one, here, cluster.conf({ vni: 7 })), {} as never);
});
