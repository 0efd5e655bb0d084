/**
 * Nodes in a directory that all machines share: nodes join with an ADD, agents follow by themselves, and the network
 * works on while the directory is missing.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { NETLOOM } from '../../support/command.ts';
import { becomeHost } from '../../support/host.ts';
import { until } from '../../support/until.ts';
import { Cluster, type ClusterOptions, type Machine } from './cluster.ts';
import { DirectoryStore } from './shared-store.ts';
import { wiring } from './wiring.ts';

becomeHost();

function withMachines(
  t: Pick<Parameters<typeof Cluster.prototype.agent>[0], 'teardown'>,
  options: ClusterOptions = {},
) {
  const cluster = new Cluster(t, options);
  const [one, two, three] = cluster.machines;
  if (one === undefined || two === undefined || three === undefined) throw new Error('there are three');
  return { cluster, one, two, three };
}

/** The directory shared by all machines. */
function directoryOf(cluster: Cluster): string {
  return storeOf(cluster).path;
}

function storeOf({ shared }: Cluster): DirectoryStore {
  if (!(shared instanceof DirectoryStore)) throw new Error('these tests are about directories');
  return shared;
}

for (const options of [{}, { inner: 6, family: 6 }] as const satisfies readonly ClusterOptions[]) {
  test.serial(
    `the first ADD of a machine gets it a prefix, which the others' next ADD finds: IPv${options.inner ?? 4}`,
    (t) => {
      const { cluster, one, two, three } = withMachines(t, options);
      const containers = [one, two, three].map((machine) =>
        cluster.add(machine, `${machine.name}a`, cluster.sharedConf(machine)),
      );
      t.deepEqual(
        storeOf(cluster)
          .nodes()
          .map(({ name }) => name)
          .sort(),
        ['n1', 'n2', 'n3'],
      );
      // All nodes have a record by now.
      const later = [one, two, three].map((machine) =>
        cluster.add(machine, `${machine.name}b`, cluster.sharedConf(machine)),
      );
      const addresses = [...containers, ...later].map(({ address }) => address);
      t.is(new Set(addresses).size, 6);
      for (const container of later) t.deepEqual(cluster.unreached(container, addresses), []);
      t.deepEqual(cluster.check(one, later[0] ?? containers[0] ?? fail(), cluster.sharedConf(one)), {} as never);
      t.is(cluster.lab.exec('STATUS', cluster.sharedConf(one), {}, cluster.on(one)).status, 0);
    },
  );
}

test.serial('another machine of the same name is refused; one that has none yet may join, and STATUS says so', (t) => {
  const { cluster, one, two } = withMachines(t);
  cluster.add(one, 'c1', cluster.sharedConf(one));
  const conf = cluster.sharedConf(one);
  const { output } = cluster.lab.exec('ADD', conf, { sandbox: cluster.lab.sandbox('c2') }, cluster.on(two));
  t.is(output.code, 111);
  t.is(output.msg, 'Cannot join the overlay as "n1": another machine has the name, at 192.0.2.11');
  t.is(cluster.lab.exec('STATUS', cluster.sharedConf(two), {}, cluster.on(two)).status, 0);
  const nowhere = { ...cluster.sharedConf(two), store: { type: 'file', path: `${directoryOf(cluster)}/nowhere` } };
  const refused = cluster.lab.exec('STATUS', nowhere, {}, cluster.on(two)).output;
  t.is(refused.code, 50);
  t.regex(refused.msg ?? '', /Cannot join the overlay in ".*\/nowhere": ENOENT/);
});

test.serial(
  'a machine that was never in it begins no overlay of its own where the mount of the store is missing',
  (t) => {
    const { cluster, one, two } = withMachines(t);
    cluster.add(one, 'c1', cluster.sharedConf(one));
    storeOf(cluster).takeAway();
    mkdirSync(directoryOf(cluster));
    const before = cluster.snapshot(two);
    for (const [command, target] of [
      ['ADD', { sandbox: cluster.lab.sandbox('c2') }],
      ['STATUS', {}],
    ] as const) {
      const { output } = cluster.lab.exec(command, cluster.sharedConf(two), target, cluster.on(two));
      t.is(output.code, 50, command);
      t.is(output.msg, `The overlay's store "${directoryOf(cluster)}" is empty: nobody has joined there`);
      t.regex(output.details ?? '', /mount it; or if this is the first node of all: netloom overlay create net/);
    }
    t.is(cluster.snapshot(two), before);
    t.deepEqual(readdirSync(directoryOf(cluster)), []);
    // The node that had already joined goes on.
    cluster.add(one, 'c3', cluster.sharedConf(one));
    t.deepEqual(readdirSync(directoryOf(cluster)), []);

    writeFileSync(join(directoryOf(cluster), 'network'), 'other\n');
    const { output } = cluster.lab.exec('STATUS', cluster.sharedConf(two), {}, cluster.on(two));
    t.is(output.code, 7);
    t.regex(
      output.msg ?? '',
      /^"store\.path" is ".*", expected a directory of the network "net": it is that of "other"$/,
    );

    rmSync(directoryOf(cluster), { recursive: true });
    storeOf(cluster).restore();
    t.is(cluster.lab.exec('STATUS', cluster.sharedConf(two), {}, cluster.on(two)).status, 0);
    cluster.add(two, 'c4', cluster.sharedConf(two));
    t.is(storeOf(cluster).nodes().length, 2);
  },
);

test.serial(
  'the command line tells of nodes, finds what the kernel lacks, and gives back the prefix of one that is gone',
  (t) => {
    const { cluster, one, two } = withMachines(t);
    const [first] = [one, two].map((machine) => cluster.add(machine, `${machine.name}a`, cluster.sharedConf(machine)));
    cluster.conflist(one, cluster.sharedConf(one));
    const netloom = (...args: string[]) =>
      one.sandbox.run('env', `NETLOOM_ROOT=${one.root}`, NETLOOM, 'overlay', ...args);
    const peers = JSON.parse(netloom('peers', '--json')) as { node: string; address: string; isThis: boolean }[];
    t.deepEqual(
      peers.map(({ node, address, isThis }) => [node, address, isThis]),
      [
        ['n1', '192.0.2.11', true],
        ['n2', '192.0.2.12', false],
      ],
    );
    // n2 joined after the only ADD on this machine.
    t.regex(netloom('status'), /net +l3 +\d+ +n1 +10\.96\.\d+\.0\/24 +1 +1450 +3 differences\n/);
    cluster.add(one, 'n1b', cluster.sharedConf(one));
    t.regex(netloom('status'), / complete\n/);
    t.throws(() => netloom('reclaim', 'net', 'n2'), {
      message: /"n2": it was seen \d+ s ago, expected 600 s of silence/,
    });
    t.throws(() => netloom('reclaim', 'net', 'n1'), { message: /"n1": it is this machine/ });
    t.regex(netloom('reclaim', 'net', 'n2', '--grace', '0'), /^10\.96\.\d+\.0\/24 is free\n$/);
    t.deepEqual(
      storeOf(cluster)
        .nodes()
        .map(({ name }) => name),
      ['n1'],
    );
    cluster.add(one, 'n1c', cluster.sharedConf(one));
    t.is(one.sandbox.run('ip', 'route', 'show', 'proto', '111'), '');
    t.truthy(first);
  },
);

test.serial('an agent carries over who joins, moves and leaves, and brings back what somebody removed', async (t) => {
  const { cluster, one, two, three } = withMachines(t);
  const first = cluster.add(one, 'c1', cluster.sharedConf(one));
  await cluster.agent(t, one, cluster.sharedConf(one));
  // They join after the last ADD on this machine.
  const [second, third] = [two, three].map((machine) =>
    cluster.add(machine, `${machine.name}a`, cluster.sharedConf(machine)),
  );
  if (second === undefined || third === undefined) throw new Error('there are two');
  await until('both are reached', () => cluster.unreached(first, [second.address, third.address], '-W 1').length === 0);
  t.is(wiring(one).match(/dst 192\.0\.2\.1[23]/g)?.length, 2);

  const tunnel = /nlx-\w+/.exec(wiring(one))?.[0] ?? '';
  one.sandbox.run('ip', 'link', 'del', tunnel);
  await until(
    'the tunnel is back, whole',
    () => cluster.unreached(first, [second.address, third.address], '-W 1').length === 0,
  );
  one.sandbox.run('ip', 'route', 'flush', 'proto', '111');
  one.sandbox.run('ip', 'link', 'set', tunnel, 'down');
  await until(
    'its routes are back',
    () => cluster.unreached(first, [second.address, third.address], '-W 1').length === 0,
  );

  // The machine moves. Its own next ADD tells the others.
  two.sandbox.run('bash', '-ec', 'ip addr del 192.0.2.12/24 dev eth0; ip addr add 192.0.2.22/24 dev eth0');
  cluster.add(two, 'n2b', cluster.sharedConf(two));
  await until(
    'it is reached at its other address',
    () => cluster.unreached(first, [second.address], '-W 1').length === 0,
  );
  t.regex(wiring(one), /dst 192\.0\.2\.22/);
  t.notRegex(wiring(one), /dst 192\.0\.2\.12/);
  t.deepEqual(cluster.check(one, first, cluster.sharedConf(one)), {} as never);

  cluster.del(one, first, cluster.sharedConf(one));
  t.is(wiring(one), '');
});

test.serial('direct: who joins behind a router is passed over, and keeps nobody else from joining', async (t) => {
  const { cluster, one, two, three } = withMachines(t);
  const conf = (machine: Machine) => cluster.sharedConf(machine, { mode: 'direct' });
  const first = cluster.add(one, 'c1', conf(one));
  await cluster.agent(t, one, conf(one));
  const record = join(directoryOf(cluster), '10.96.250.0_24.json');
  writeFileSync(`${record}.new`, '{"name": "far", "address": "203.0.113.9", "subnet": "10.96.250.0/24"}');
  renameSync(`${record}.new`, record);
  const sandbox = cluster.lab.sandbox('c2');
  const { status, output, stderr } = cluster.lab.exec('ADD', conf(two), { sandbox }, cluster.on(two));
  t.is(status, 0, output.msg);
  t.regex(
    stderr,
    /The node "far" is passed over: Cannot route directly to .* \(203\.0\.113\.9\): no route leads there/,
  );
  const address = (output.ips?.[0]?.address ?? '').replace(/\/.*/, '');
  await until('who joined after it is reached', () => cluster.unreached(first, [address], '-W 1').length === 0);
  t.deepEqual(cluster.check(one, first, conf(one)), {} as never);

  // A node that reaches none of several others is in the wrong place itself.
  cluster.move(three, three.address, '198.51.100.13');
  const lost = { ...conf(three), underlay: '198.51.100.0/24' };
  const target = { sandbox: cluster.lab.sandbox('c3') };
  const refused = cluster.lab.exec('ADD', lost, target, cluster.on(three)).output;
  t.is(refused.code, 50);
  t.regex(refused.msg ?? '', /^Cannot route directly to the node "\w+" /);
});

for (const mode of ['l3', 'l2', 'direct']) {
  test.serial(`${mode}: a machine that has got the address of one that crashed is hindered by nothing`, (t) => {
    const { cluster, one, two } = withMachines(t);
    const conf = (machine: Machine) => cluster.sharedConf(machine, { mode });
    const record = { name: 'crashed', address: one.address, subnet: '10.96.249.0/24', machine: '5f2e' };
    writeFileSync(join(directoryOf(cluster), '10.96.249.0_24.json'), JSON.stringify(record));
    const other = cluster.add(two, 'c1', conf(two));
    const target = { sandbox: cluster.lab.sandbox('c2') };
    const { status, output, stderr } = cluster.lab.exec('ADD', conf(one), target, cluster.on(one));
    t.is(status, 0, output.msg);
    t.regex(stderr, /The node "crashed" is passed over: its address 192\.0\.2\.11 is this node's/);
    const second = cluster.add(one, 'c3', conf(one));
    cluster.add(two, 'c4', conf(two)); // it finds the nodes that joined
    const first = { ...target, result: output, address: (output.ips?.[0]?.address ?? '').replace(/\/.*/, '') };
    const all = [first, second, other];
    const addresses = all.map(({ address }) => address);
    for (const each of all) t.deepEqual(cluster.unreached(each, addresses), [], each.address);
    t.notRegex(wiring(one), /192\.0\.2\.11/);
    t.deepEqual(cluster.check(one, second, conf(one)), {} as never);
  });
}

test.serial('a node that is reclaimed although it runs is back, with the prefix that it had', async (t) => {
  const { cluster, one, two } = withMachines(t);
  const [first, second] = [one, two].map((machine) =>
    cluster.add(machine, `${machine.name}a`, cluster.sharedConf(machine)),
  );
  if (first === undefined || second === undefined) throw new Error('there are two');
  for (const machine of [one, two]) await cluster.agent(t, machine, cluster.sharedConf(machine));
  const meet = (what: string) => until(what, () => cluster.unreached(first, [second.address], '-W 1').length === 0);
  await meet('they reach each other');
  const recorded = () =>
    storeOf(cluster)
      .nodes()
      .find(({ name }) => name === 'n2');
  const before = recorded();
  const reclaim = ['overlay', 'reclaim', 'net', 'n2', '--grace', '0'];
  one.sandbox.run('env', `NETLOOM_ROOT=${one.root}`, NETLOOM, ...reclaim);
  await until('it has a record again', () => recorded() !== undefined);
  t.deepEqual(recorded(), before);
  await meet('it is reached again');
  t.deepEqual(cluster.check(one, first, cluster.sharedConf(one)), {} as never);
});

for (const mode of ['l3', 'direct']) {
  test.serial(
    `${mode}: an agent hears that its machine has another address, or lost its link for a moment`,
    async (t) => {
      const { cluster, one, two } = withMachines(t);
      const [first, second] = [one, two].map((machine) =>
        cluster.add(machine, `${machine.name}a`, cluster.sharedConf(machine, { mode })),
      );
      if (first === undefined || second === undefined) throw new Error('there are two');
      for (const machine of [one, two]) await cluster.agent(t, machine, cluster.sharedConf(machine, { mode }));
      const meet = (what: string) => until(what, () => cluster.unreached(first, [second.address], '-W 1').length === 0);
      await meet('they reach each other');

      cluster.move(two, two.address, cluster.addressOn(22));
      await meet('it is reached at its other address');
      // NB: wait for it. In the mode `direct` the node answers at once, because others still have its MAC.
      const recorded = () =>
        storeOf(cluster)
          .nodes()
          .find(({ name }) => name === two.name)?.address;
      await until('it has said so', () => recorded() === cluster.addressOn(22));
      // When the link goes down, the kernel drops its routes.
      two.sandbox.run('bash', '-ec', 'ip link set eth0 down; ip link set eth0 up');
      await meet('it is reached after its link was down');
      t.deepEqual(cluster.check(two, second, cluster.sharedConf(two, { mode })), {} as never);
    },
  );
}

test.serial(
  'the directory away, the agent killed and started again: not one packet is lost, and nothing is written',
  async (t) => {
    const { cluster, one, two } = withMachines(t);
    const [first, second] = [one, two].map((machine) =>
      cluster.add(machine, `${machine.name}a`, cluster.sharedConf(machine)),
    );
    if (first === undefined || second === undefined) throw new Error('there are two');
    const conf = cluster.sharedConf(one);
    const agent = await cluster.agent(t, one, conf);
    await until('both are reached', () => cluster.unreached(first, [second.address], '-W 1').length === 0);
    const before = wiring(one);
    const monitor = spawn('nsenter', [`--net=${one.sandbox.path}`, 'ip', 'monitor', 'link', 'route'], {
      stdio: 'pipe',
    });
    let told = '';
    monitor.stdout.on('data', (data) => (told += data));
    const ping = spawn(
      'nsenter',
      [`--net=${first.sandbox.path}`, 'ping', '-c', '500', '-i', '0.02', '-W', '10', '-q', second.address],
      {
        stdio: 'pipe',
      },
    );
    const ended = new Promise((resolve) => ping.on('close', resolve));
    let report = '';
    ping.stdout.on('data', (data) => (report += data));

    renameSync(directoryOf(cluster), `${directoryOf(cluster)}.away`);
    mkdirSync(directoryOf(cluster)); // what is left when a mount is missing
    agent.kill('SIGKILL');
    const [record] = readdirSync(`${directoryOf(cluster)}.away`).filter(
      (name) => name.startsWith('10.96.') && isOf(cluster, name, 'n1'),
    );
    const seen = () => statSync(join(directoryOf(cluster), record ?? '')).mtimeMs;
    await cluster.agent(t, one, conf);
    const extra = cluster.add(one, 'n1b', conf); // an ADD works, too
    t.deepEqual(cluster.unreached(extra, [second.address]), []);
    cluster.del(one, extra, conf);
    execFileSync('rmdir', [directoryOf(cluster)]);
    renameSync(`${directoryOf(cluster)}.away`, directoryOf(cluster));
    const then = seen();
    execFileSync('touch', ['-d', '1 hour ago', join(directoryOf(cluster), record ?? '')]);
    await until('the agent says in the directory that it is there', () => seen() >= then);
    t.is(wiring(one), before);

    await ended;
    t.regex(report, / 0% packet loss/);
    monitor.kill();
    // The kernel's own link-local addresses may appear at any time.
    t.notRegex(told, /^Deleted \d+: nlx-|proto 111/m);
  },
);

function isOf(cluster: Cluster, name: string, node: string): boolean {
  return readFileSync(join(`${directoryOf(cluster)}.away`, name), 'utf8').includes(`"${node}"`);
}

function fail(): never {
  throw new Error('there is none');
}
