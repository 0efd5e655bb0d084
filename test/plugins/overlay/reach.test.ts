/**
 * Three machines and their containers: all reach all in each mode, over IPv4 and IPv6, with the largest packet. The
 * judges are ping, ip, bridge and nft.
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { becomeHost } from '../../support/host.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';

becomeHost();

const WAYS: readonly (ClusterOptions & { readonly mode: string; readonly room: number; readonly wiring?: string })[] = [
  { mode: 'l3', room: 50 },
  { mode: 'l3', family: 6, room: 70 },
  { mode: 'l3', inner: 6, mtu: 9000, room: 50 },
  { mode: 'l2', room: 50 },
  { mode: 'l2', family: 6, inner: 6, room: 70 },
  { mode: 'direct', room: 0 },
  { mode: 'direct', family: 6, inner: 6, room: 0 },
  { mode: 'l3', wiring: 'routed', room: 50 },
  { mode: 'direct', wiring: 'routed', family: 6, inner: 6, room: 0 },
];

for (const { mode, room, wiring = 'bridge', ...options } of WAYS) {
  const { family = 4, inner = 4, mtu: underlay = 1500 } = options;
  const title = `${mode}${wiring === 'bridge' ? '' : `, ${wiring}`}: containers with IPv${inner} on three machines reach each other over IPv${family}, ${underlay} bytes`;
  test.serial(title, (t) => {
    const cluster = new Cluster(t, options);
    const conf = cluster.conf({ mode, wiring });
    const before = cluster.machines.map((machine) => cluster.snapshot(machine));
    const containers = cluster.machines.flatMap((machine) =>
      ['a', 'b'].map((each) => cluster.add(machine, `${machine.name}${each}`, conf)),
    );
    const addresses = containers.map(({ address }) => address);
    t.is(new Set(addresses).size, 6);
    const mtu = underlay - room;
    t.deepEqual([...new Set(containers.flatMap(({ result }) => result.interfaces?.map((each) => each.mtu)))], [mtu]);
    for (const container of containers) t.deepEqual(cluster.unreached(container, addresses), [], container.address);
    // The machines themselves reach the containers of others, too.
    for (const { sandbox } of cluster.machines) t.deepEqual(cluster.unreached({ sandbox }, addresses), []);
    const [first, , other] = containers;
    if (first === undefined || other === undefined) throw new Error('there are six');
    const payload = mtu - (inner === 4 ? 28 : 48);
    t.deepEqual(cluster.unreached(first, [other.address], `-M do -s ${payload}`), [], 'the largest packet');
    t.deepEqual(cluster.unreached(first, [other.address], `-W 1 -M do -s ${payload + 1}`), [other.address]);
    for (const { sandbox } of cluster.machines) {
      t.regex(sandbox.run('nstat', '-asz', 'IpFragCreates', 'Ip6FragCreates'), /IpFragCreates +0 /);
      t.regex(sandbox.run('nstat', '-asz', 'Ip6FragCreates'), /Ip6FragCreates +0 /);
    }
    for (const [i, container] of containers.entries()) {
      const machine = cluster.machines[i >> 1];
      if (machine !== undefined) t.deepEqual(cluster.check(machine, container, conf), {} as never);
    }
    for (const [i, container] of containers.entries()) {
      const machine = cluster.machines[i >> 1];
      if (machine !== undefined) cluster.del(machine, container, conf);
    }
    t.deepEqual(
      cluster.machines.map((machine) => cluster.snapshot(machine)),
      before,
    );
  });
}

test.serial(
  'l3: what the kernel has for it, as iproute2 tells: deterministic MACs, one entry of each kind a peer, unique metrics',
  (t) => {
    const cluster = new Cluster(t);
    const [one, two, three] = cluster.machines;
    if (one === undefined || two === undefined || three === undefined) throw new Error('there are three');
    cluster.add(one, 'c1');
    cluster.add(two, 'c2');
    const { sandbox } = one;
    const links = sandbox.ip<{ ifname: string; address: string; ifalias?: string; linkinfo?: { info_kind: string } }>(
      'link',
    );
    const tunnel = links.find(({ ifname }) => ifname.startsWith('nlx-'));
    const ofTwo = two.sandbox
      .ip<{ ifname: string; address: string }>('link')
      .find(({ ifname }) => ifname.startsWith('nlx-'));
    t.like(tunnel, {
      ifalias: 'netloom-overlay:net',
      mtu: 1450,
      linkinfo: { info_kind: 'vxlan', info_data: { local: '192.0.2.11', port: 4789, learning: false } },
    });
    const fdb = JSON.parse(sandbox.run('bridge', '-j', 'fdb', 'show', 'dev', tunnel?.ifname ?? '')) as {
      mac: string;
      dst: string;
    }[];
    t.deepEqual(fdb.map(({ dst }) => dst).sort(), ['192.0.2.12', '192.0.2.13']);
    // The MAC of the other machine is derived; nobody told this machine.
    t.is(fdb.find(({ dst }) => dst === '192.0.2.12')?.mac, ofTwo?.address);
    t.deepEqual(
      sandbox
        .ip<{ dst: string; lladdr: string }>('neigh', 'show', 'nud', 'permanent')
        .map(({ dst, lladdr }) => [dst, lladdr])
        .sort(),
      [
        ['10.96.2.0', fdb.find(({ dst }) => dst === '192.0.2.12')?.mac],
        ['10.96.3.0', fdb.find(({ dst }) => dst === '192.0.2.13')?.mac],
      ] as never,
    );
    const routes = sandbox
      .run('ip', 'route', 'show', 'proto', '111')
      .trim()
      .split('\n')
      .map((each) => each.trim());
    t.deepEqual(routes.sort(), [
      `10.96.2.0/24 via 10.96.2.0 dev ${tunnel?.ifname} metric 3 onlink`,
      `10.96.3.0/24 via 10.96.3.0 dev ${tunnel?.ifname} metric 4 onlink`,
    ]);
  },
);

test.serial('what goes outside has the machine for its source, what stays inside keeps its own', (t) => {
  const cluster = new Cluster(t, { count: 2 });
  const [one, two] = cluster.machines;
  if (one === undefined || two === undefined) throw new Error('there are two');
  const outside = cluster.lab.sandbox('outside');
  execFileSync('bash', [
    '-ec',
    `ip link add out0 type veth peer name eth0 netns ${outside.path}; ip link set out0 master under0 up`,
  ]);
  outside.run('bash', '-ec', 'ip link set eth0 up; ip addr add 192.0.2.99/24 dev eth0');
  const [first, second] = [cluster.add(one, 'c1'), cluster.add(two, 'c2')];
  for (const [sandbox, source] of [
    [outside, one.address],
    [second.sandbox, first.address],
  ] as const) {
    sandbox.run(
      'nft',
      `table ip seen {
         counter asked { }
         chain in { type filter hook input priority 0
           ip saddr ${source} icmp type echo-request counter name asked
         }
       }`,
    );
  }
  t.deepEqual(cluster.unreached(first, ['192.0.2.99', second.address]), []);
  for (const sandbox of [outside, second.sandbox]) {
    t.regex(sandbox.run('nft', 'list', 'counter', 'ip', 'seen', 'asked'), /packets 1 /);
  }
});

test.serial('the packet on the underlay has no mark of what it carries', (t) => {
  const cluster = new Cluster(t, { count: 2 });
  const [one, two] = cluster.machines;
  if (one === undefined || two === undefined) throw new Error('there are two');
  const [first, second] = [cluster.add(one, 'c1'), cluster.add(two, 'c2')];
  one.sandbox.run(
    'nft',
    `table ip seen {
       counter marked { }
       counter unmarked { }
       chain forward { type filter hook forward priority 0
         meta mark set 0x4000
       }
       chain out { type filter hook output priority 0
         udp dport 4789 meta mark 0x4000 counter name marked
         udp dport 4789 meta mark 0 counter name unmarked
       }
     }`,
  );
  t.deepEqual(cluster.unreached(first, [second.address]), []);
  const packets = (name: string) => one.sandbox.run('nft', 'list', 'counter', 'ip', 'seen', name);
  t.regex(packets('marked'), /packets 0 /);
  t.notRegex(packets('unmarked'), /packets 0 /);
});

for (const mode of ['l3', 'l2', 'direct']) {
  test.serial(
    `internal, ${mode}: containers reach each other and nothing else, even with a route of their own`,
    (t) => {
      const cluster = new Cluster(t, { count: 2 });
      const [one, two] = cluster.machines;
      if (one === undefined || two === undefined) throw new Error('there are two');
      const conf = cluster.conf({ mode, internal: true });
      const before = cluster.snapshot(one);
      const [first, second] = [cluster.add(one, 'c1', conf), cluster.add(two, 'c2', conf)];
      t.deepEqual(cluster.unreached(first, [second.address]), []);
      t.false(first.sandbox.run('ip', 'route').includes('default'));
      first.sandbox.run('ip', 'route', 'add', 'default', 'via', '10.96.1.1');
      // Add a route back, so that only the guard stops the packets.
      two.sandbox.run('ip', 'route', 'replace', '10.96.1.0/24', 'via', '192.0.2.11', 'metric', '1');
      t.deepEqual(cluster.unreached(first, ['192.0.2.12'], '-W 1'), ['192.0.2.12']);
      t.deepEqual(cluster.check(one, first, conf), {} as never);
      cluster.del(one, first, conf);
      t.is(cluster.snapshot(one), before);
    },
  );
}
