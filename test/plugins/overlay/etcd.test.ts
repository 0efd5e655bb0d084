/** Nodes in etcd: the agent joins and follows, an ADD waits for it, and packets get through whatever etcd does. */
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { keyValue, parts, startingWith } from '../../../src/overlay/etcd/wire.ts';
import { type Certificates, makeCertificates, tlsArgs } from '../../support/certificates.ts';
import { NETLOOM } from '../../support/command.ts';
import { Etcd, type EtcdOptions } from '../../support/etcd.ts';
import { passwordFile, requireUsers, tokenArgs, USER } from '../../support/etcd-users.ts';
import { becomeHost, makeRoot, type Sandbox } from '../../support/host.ts';
import type { Json, Output } from '../../support/lab.ts';
import { until } from '../../support/until.ts';
import { WallClock } from '../../support/wall-clock.ts';
import { Cluster, type ClusterOptions, type Container, type Machine } from './cluster.ts';
import { wiring } from './wiring.ts';

becomeHost();

/** etcd's address on the underlay. */
const ADDRESS = '192.0.2.1';
const ADDRESS_6 = '2001:db8::1';

/** The packets in a minute, at fifty a second. */
const MINUTE = 3000;

async function withEtcd(t: ExecutionContext, options: EtcdOptions = {}, cluster: ClusterOptions = {}) {
  const made = new Cluster(t, cluster);
  const address = cluster.family === 6 ? ADDRESS_6 : ADDRESS;
  const prefix = cluster.family === 6 ? 64 : 24;
  execFileSync('ip', ['addr', 'add', `${address}/${prefix}`, 'dev', 'under0', ...(prefix === 64 ? ['nodad'] : [])]);
  const etcd = await Etcd.start(t, made.lab.root, { address, ...options });
  const [one, two, three] = made.machines;
  if (one === undefined || two === undefined || three === undefined) throw new Error('there are three');
  const conf = ({ name }: Machine, more: Json = {}): Json =>
    made.conf({
      node: name,
      underlay: made.underlay,
      store: { type: 'etcd', ...etcd.settings },
      ...more,
    });
  return { cluster: made, etcd, one, two, three, conf };
}

/** Runs a command of the command line on a machine. */
function netloom({ sandbox, root }: Machine, ...args: string[]): string {
  return sandbox.run('env', `NETLOOM_ROOT=${root}`, NETLOOM, 'overlay', ...args);
}

test.serial('agents join, ADDs need no etcd, also after a boot, and all reach all', async (t) => {
  const { cluster, etcd, one, two, three, conf } = await withEtcd(t);
  const machines = [one, two, three];
  const agents = [];
  for (const machine of machines) agents.push(await cluster.agent(t, machine, conf(machine)));
  const first = machines.map((machine) => cluster.add(machine, `${machine.name}a`, conf(machine)));
  const addresses = first.map(({ address }) => address);
  t.is(new Set(addresses.map((each) => each.split('.')[2])).size, 3, 'each machine has a prefix of its own');
  for (const container of first) {
    await until('all are reached', () => cluster.unreached(container, addresses, '-W 1').length === 0);
  }
  // The address of another machine is refused, naming the holder.
  const target = { sandbox: cluster.lab.sandbox('asking'), args: `IgnoreUnknown=1;IP=${addresses[1]}` };
  const refused = cluster.lab.exec('ADD', conf(one), target, cluster.on(one)).output;
  t.is(refused.code, 102);
  t.regex(refused.msg ?? '', /^Cannot give the address \S+: it is one of 10\.96\.\d+\.0\/24, which the node "n2" has$/);
  await etcd.killMember(0);
  const second = machines.map((machine) => cluster.add(machine, `${machine.name}b`, conf(machine)));
  const all = [...first, ...second].map(({ address }) => address);
  t.is(new Set(all).size, 6);
  for (const container of second) t.deepEqual(cluster.unreached(container, all), []);
  for (const [i, machine] of machines.entries()) {
    const container = second[i];
    if (container !== undefined) t.deepEqual(cluster.check(machine, container, conf(machine)), {} as never);
    t.is(cluster.lab.exec('STATUS', conf(machine), {}, cluster.on(machine)).status, 0);
  }

  agents[2]?.kill('SIGKILL');
  cluster.cutPower(three);
  const back = cluster.boot(three.number);
  // A runtime does this after a boot: it has no containers.
  cluster.gc(back, [], conf(back));
  await cluster.agent(t, back, conf(back));
  const later = cluster.add(back, 'n3c', conf(back));
  t.is(prefixOf(later.address), prefixOf(addresses[2] ?? ''));
  const others = [...first.slice(0, 2), ...second.slice(0, 2)].map(({ address }) => address);
  t.deepEqual(cluster.unreached(later, others), []);
});

test.serial(
  'without an agent an ADD waits for it, and says so; another machine of the same name is refused',
  async (t) => {
    const { cluster, one, two, conf } = await withEtcd(t);
    const sandbox = cluster.lab.sandbox('c1');
    const before = cluster.snapshot(one);
    const { output } = cluster.lab.exec('ADD', conf(one), { sandbox }, cluster.on(one));
    t.is(output.code, 11);
    t.is(
      output.msg,
      'This machine, "n1", is not a node of the overlay "net" yet: it waits for the agent, which has not reported on it (waited 10 s)',
    );
    t.regex(output.details ?? '', /run "netloom agent", with the conflist in ".*net\.d"/);
    t.is(cluster.lab.exec('STATUS', conf(one), {}, cluster.on(one)).output.code, 50);
    t.is(cluster.snapshot(one), before);

    // An agent that starts meanwhile ends the wait. NB: on a busy machine that may take more than one ADD.
    const add = async (): Promise<number | null> => {
      const end = await cluster.lab.start('ADD', conf(one), { sandbox }, cluster.on(one));
      return end.output.code === 11 ? add() : end.status;
    };
    const waiting = add();
    await cluster.agent(t, one, conf(one));
    t.is(await waiting, 0);

    await cluster.agent(t, two, { ...conf(two), node: 'n1' });
    const refused = cluster.lab.exec(
      'ADD',
      { ...conf(two), node: 'n1' },
      { sandbox: cluster.lab.sandbox('c2') },
      cluster.on(two),
    ).output;
    t.is(refused.code, 111);
    t.is(refused.msg, 'Cannot join the overlay as "n1": another machine has the name, at 192.0.2.11');
  },
);

test.serial(
  'who joins, moves and leaves is carried over; the command line tells of nodes and gives prefixes back',
  async (t) => {
    const { cluster, one, two, three, conf } = await withEtcd(t);
    await cluster.agent(t, one, conf(one));
    const first = cluster.add(one, 'c1', conf(one));
    const others = [];
    for (const machine of [two, three]) {
      const agent = await cluster.agent(t, machine, conf(machine));
      others.push({ agent, container: cluster.add(machine, `${machine.name}a`, conf(machine)) });
    }
    const [second, third] = others;
    if (second === undefined || third === undefined) throw new Error('there are two');
    const reached = (...addresses: string[]) => cluster.unreached(first, addresses, '-W 1').length === 0;
    await until('both are reached', () => reached(second.container.address, third.container.address));

    two.sandbox.run('bash', '-ec', 'ip addr del 192.0.2.12/24 dev eth0; ip addr add 192.0.2.22/24 dev eth0');
    await until('it is reached at its other address', () => reached(second.container.address));
    t.regex(one.sandbox.run('bridge', 'fdb', 'show'), /dst 192\.0\.2\.22/);

    const peers = JSON.parse(netloom(one, 'peers', '--json')) as { node: string; secondsSinceSeen: number }[];
    t.deepEqual(peers.map(({ node }) => node).sort(), ['n1', 'n2', 'n3']);
    t.true(peers.every(({ secondsSinceSeen }) => secondsSinceSeen < 60));
    t.regex(
      netloom(one, 'status'),
      /net +l3 .* 2 +1450 +complete\nnet: etcd: it joined as "n1" with 10\.96\.\d+\.0\/24\n/,
    );
    t.throws(() => netloom(one, 'reclaim', 'net', 'n3'), {
      message: /"n3": it was seen \d+ s ago, expected 600 s of silence/,
    });
    third.agent.kill('SIGKILL');
    t.regex(netloom(one, 'reclaim', 'net', 'n3', '--grace', '0'), /^10\.96\.\d+\.0\/24 is free\n$/);
    await until('what led to it is gone', () => !one.sandbox.run('bridge', 'fdb', 'show').includes('192.0.2.13'));
    t.deepEqual(cluster.unreached(first, [second.container.address]), []);
  },
);

test.serial(
  'l3, l2 and direct, three members with certificates and tokens; one is killed, all are, and are back: not one packet is lost in any of them',
  async (t) => {
    const root = makeRoot();
    t.teardown(root.remove);
    const certificates = makeCertificates(root.path, 'certificates', ADDRESS);
    const settings = { ca: certificates.ca, ...certificates.client };
    const args = [...tlsArgs(certificates), ...tokenArgs(root.path, 2)];
    const { cluster, etcd, one, two, three, conf } = await withEtcd(t, { members: 3, scheme: 'https', args, settings });
    await requireUsers(etcd);
    const store = { type: 'etcd', ...etcd.settings, user: USER, passwordFile: passwordFile(root.path) };
    const networks = ['l3', 'l2', 'direct'].map((mode, i) => {
      const more = { name: mode, mode, subnet: `10.${96 + i}.0.0/16`, store };
      const of = (machine: Machine) => conf(machine, more);
      return { mode, of, add: (machine: Machine, name: string) => cluster.add(machine, `${name}${mode}`, of(machine)) };
    });
    const start = (machine: Machine) => {
      const [first = {}, ...others] = networks.map(({ of }) => of(machine));
      for (const other of others) cluster.conflist(machine, other);
      return cluster.agent(t, machine, first);
    };
    const inEach = (said: (mode: string) => RegExp) => networks.every(({ mode }) => said(mode).test(statusOf(one)));

    const agent = await start(one);
    await start(two);
    const pairs = networks.map((network) => {
      const [first, second] = [network.add(one, 'n1a'), network.add(two, 'n2a')];
      return { ...network, first, second };
    });
    const reach = (to: readonly Container[]) =>
      pairs.every(({ first }, i) => cluster.unreached(first, [to[i]?.address ?? ''], '-W 1').length === 0);
    const seconds = pairs.map(({ second }) => second);
    await until('they reach each other', () => reach(seconds));
    const whole = pairs.map(({ first, second }) => traffic(t, first.sandbox, second.address));

    await etcd.killMember(0);
    await start(three);
    const thirds = pairs.map(({ add }) => add(three, 'n3a'));
    await until('who joined with one of three away is reached', () => reach(thirds));

    await etcd.killMember(1);
    await etcd.killMember(2);
    await until('the agent says so', () => inEach((mode) => RegExp(`^${mode}: etcd: Cannot reach etcd at https`, 'm')));
    agent.kill('SIGKILL');
    await start(one);
    for (const [i, { first, second, of, add }] of pairs.entries()) {
      const later = add(one, 'n1b');
      t.deepEqual(
        cluster.unreached(
          later,
          [first, second, thirds[i] ?? later].map(({ address }) => address),
        ),
        [],
      );
      t.is(cluster.lab.exec('STATUS', of(one), {}, cluster.on(one)).status, 0);
      cluster.del(one, later, of(one));
    }
    const minute = pairs.map(({ first, second }) => traffic(t, first.sandbox, second.address, MINUTE));
    for (const [i, { mode }] of pairs.entries()) {
      t.deepEqual(await minute[i]?.ended, { sent: MINUTE, lost: [] }, `${mode}: for a minute`);
    }

    for (const member of [0, 1, 2]) etcd.startMember(member);
    cluster.move(three, three.address, cluster.addressOn(23));
    await until('etcd is back, and who has moved is reached', () => reach(thirds));
    // NB: in l2, learned entries lead there before the agent's own do.
    await until('a way to it in each', () => wiring(one).match(/192\.0\.2\.23/g)?.length === 3);
    await until('and none to where it was', () => !wiring(one).includes('192.0.2.13'));
    await until('the agent says so', () => inEach((mode) => RegExp(`^${mode}: etcd: it joined as "n1"`, 'm')));

    for (const [i, { mode }] of pairs.entries()) {
      whole[i]?.ping.kill('SIGINT');
      const { sent, lost } = (await whole[i]?.ended) ?? { sent: 0, lost: [] };
      t.true(sent > MINUTE, mode);
      t.deepEqual(lost, [], `${mode}: of ${sent}`);
    }
  },
);

test.serial(
  'authority and certificates are replaced one by one while it runs: the agent is back without a restart',
  async (t) => {
    const root = makeRoot();
    t.teardown(root.remove);
    const [former, later] = ['former', 'later'].map((name) => makeCertificates(root.path, name, ADDRESS));
    if (former === undefined || later === undefined) throw new Error('there are two');
    const { ca, server, client } = makeCertificates(root.path, 'used', ADDRESS);
    const replace = (file: string, by: string) => {
      copyFileSync(by, `${file}.new`);
      renameSync(`${file}.new`, file);
    };
    const use = ([file, by]: readonly [string, string]) => replace(file, by);
    const serve = (of: Certificates) => {
      use([server.cert, of.server.cert]);
      use([server.key, of.server.key]);
    };
    serve(former);
    use([ca, former.ca]);
    use([client.cert, former.client.cert]);
    use([client.key, former.client.key]);
    const authorities = join(root.path, 'authorities.pem');
    const served = { ...former, ca: authorities, server };
    use([authorities, former.ca]);
    const settings = { ca, ...client };
    const { cluster, etcd, one, two, conf } = await withEtcd(t, { scheme: 'https', args: tlsArgs(served), settings });
    const clock = new WallClock(cluster.lab.root, 'n1');
    await cluster.agent(t, one, conf(one), clock.environment);
    const first = cluster.add(one, 'n1a', conf(one));
    const says = (pattern: RegExp) => until(`${pattern}`, () => pattern.test(statusOf(one)));
    await says(/etcd: it joined as "n1"/);

    await etcd.killMember(0);
    serve(later);
    use([authorities, later.ca]);
    etcd.startMember(0);
    await says(/etcd: Cannot reach etcd at https.*(certificate|signature)/i);
    // A certificate that does not match its key: files are replaced one after the other.
    use([client.cert, later.client.cert]);
    await says(/etcd: .*key/i);
    use([client.key, later.client.key]);
    use([ca, later.ca]);
    await says(/etcd: it joined as "n1"/);
    await cluster.agent(t, two, conf(two));
    const second = cluster.add(two, 'n2a', conf(two));
    await until('who joins is reached', () => cluster.unreached(first, [second.address], '-W 1').length === 0);

    // For a clock that is ahead, they have expired.
    clock.set(24 * 30);
    await etcd.killMember(0);
    etcd.startMember(0);
    await says(/etcd: Cannot reach etcd at https.*expired/);
    t.deepEqual(cluster.unreached(first, [second.address]), []);
    clock.set(0);
    await says(/etcd: it joined as "n1"/);
    t.deepEqual(cluster.check(one, first, conf(one)), {} as never);
  },
);

test.serial('over IPv6 from end to end: etcd with its certificate, the underlay, the containers', async (t) => {
  const root = makeRoot();
  t.teardown(root.remove);
  const certificates = makeCertificates(root.path, 'certificates', ADDRESS_6);
  const settings = { ca: certificates.ca, ...certificates.client };
  const options = { scheme: 'https', args: tlsArgs(certificates), settings } as const;
  const { cluster, one, two, conf } = await withEtcd(t, options, { family: 6, inner: 6 });
  for (const machine of [one, two]) await cluster.agent(t, machine, conf(machine));
  const [first, second] = [one, two].map((machine) => cluster.add(machine, `${machine.name}a`, conf(machine)));
  if (first === undefined || second === undefined) throw new Error('there are two');
  t.is((conf(one)['store'] as { endpoints: string[] }).endpoints[0], 'https://[2001:db8::1]:2379');
  await until('they reach each other', () => cluster.unreached(first, [second.address], '-W 1').length === 0);
});

test.serial(
  'l2: blocks of addresses from etcd, another before they are full; one that is asked for is given, or refused with its holder',
  async (t) => {
    const { cluster, etcd, one, two, conf } = await withEtcd(t);
    // Eight blocks of 8 addresses. The first block has five to give.
    const of = (machine: Machine) => conf(machine, { mode: 'l2', subnet: '10.96.0.0/26', nodePrefix: 29 });
    for (const machine of [one, two]) await cluster.agent(t, machine, of(machine));
    const first = cluster.add(one, 'c1', of(one));
    const second = cluster.add(two, 'c2', of(two));
    await until('they reach each other', () => cluster.unreached(first, [second.address], '-W 1').length === 0);

    const taken = [blockOf(first.address), blockOf(second.address)];
    const free = [8, 16, 24, 32].find((block) => !taken.includes(block)) ?? 0;
    const asking = (machine: Machine, name: string, address: string) => {
      const target = { sandbox: cluster.lab.sandbox(name), args: `IgnoreUnknown=1;IP=${address}` };
      return cluster.lab.exec('ADD', of(machine), target, cluster.on(machine)).output;
    };
    const given = asking(one, 'c3', `10.96.0.${free + 5}`);
    t.is(given.ips?.[0]?.address, `10.96.0.${free + 5}/26`, given.msg);
    const refused = asking(two, 'c4', `10.96.0.${free + 6}`);
    t.is(refused.code, 102);
    t.is(
      refused.msg,
      `Cannot give the address 10.96.0.${free + 6}: it is one of 10.96.0.${free}/29, which the node "n1" has`,
    );

    const more = ['d1', 'd2', 'd3'].map((name) => cluster.add(two, name, of(two)));
    const blocksOfTwo = async () => {
      const { kvs } = await etcd.ask('/v3/kv/range', startingWith('/netloom/net/prefixes/'));
      return parts(kvs).filter((kv) => keyValue(kv).value === 'n2').length;
    };
    await until('the agent has got another block before this one is full', async () => (await blocksOfTwo()) === 2);
    await until('it is known', () =>
      readFileSync(`${two.root}/var/lib/netloom/overlay/net.json`, 'utf8').includes('"blocks"'),
    );
    await etcd.killMember(0);
    for (const name of ['d4', 'd5', 'd6']) more.push(cluster.add(two, name, of(two)));
    const addresses = [second, ...more].map(({ address }) => address);
    t.is(new Set(addresses).size, 7);
    t.is(new Set(addresses.map(blockOf)).size, 2);
    t.deepEqual(cluster.unreached(first, addresses), []);
  },
);

test.serial('l2: a node takes one block after another, until none is left', async (t) => {
  const { cluster, one, conf } = await withEtcd(t);
  const of = conf(one, { mode: 'l2', subnet: '10.96.0.0/28', nodePrefix: 30 });
  await cluster.agent(t, one, of);
  const addresses = new Set<string>();
  let last: Output = { cniVersion: '' };
  for (let i = 0; i < 12; i++) {
    last = cluster.lab.exec('ADD', of, { sandbox: cluster.lab.sandbox(`c${i}`) }, cluster.on(one)).output;
    if (last.code !== undefined) break;
    addresses.add(last.ips?.[0]?.address ?? '');
  }
  t.is(last.code, 101);
  // Its first block gives one address, the others three each, and the one with the network's own address two.
  t.true(addresses.size === 9 || addresses.size === 10, [...addresses].join());
});

test.serial('the conflist of cni-conf, as it is', async (t) => {
  const { cluster, one } = await withEtcd(t);
  const file = fileURLToPath(new URL('../../../cni-conf/81-overlay-etcd.conflist', import.meta.url));
  const { name, plugins } = JSON.parse(readFileSync(file, 'utf8')) as { name: string; plugins: readonly Json[] };
  const conf = { ...plugins[0], name, cniVersion: '1.1.0' };
  await cluster.agent(t, one, conf);
  const { sandbox, address } = cluster.add(one, 'c1', conf);
  t.regex(address, /^10\.97\.\d+\.2$/);
  t.true(sandbox.reaches(address.replace(/2$/, '1')));
});

/** The first three numbers of an IPv4 address, which are the node's. */
function prefixOf(address: string): string {
  return address.replace(/\.\d+$/, '');
}

/** The last number of the first address in the block of 8 that contains the address. */
function blockOf(address: string): number {
  return Number(address.split('.')[3]) & ~7;
}

function statusOf(machine: Machine): string {
  return netloom(machine, 'status');
}

/**
 * Sends fifty packets a second, until all are sent or it is stopped. Those of its last second do not count, because
 * they may still be under way.
 * @returns the numbers of the packets that were not answered
 */
function traffic(t: ExecutionContext, from: Sandbox, to: string, count?: number) {
  const limit = count === undefined ? [] : ['-c', `${count}`];
  const ping = spawn('nsenter', [`--net=${from.path}`, 'ping', '-i', '0.02', '-W', '10', ...limit, to]);
  t.teardown(() => ping.kill('SIGKILL'));
  let said = '';
  ping.stdout.on('data', (data) => (said += data));
  const ended = new Promise<string>((resolve) => ping.on('close', () => resolve(said))).then((report) => {
    const sent = Number(/^(\d+) packets transmitted/m.exec(report)?.[1] ?? 0);
    const answered = new Set(Array.from(report.matchAll(/icmp_seq=(\d+) ttl/g), ([, number]) => Number(number)));
    const numbers = Array.from({ length: count ?? Math.max(0, sent - 50) }, (_, i) => i + 1);
    return { sent, lost: numbers.filter((number) => !answered.has(number)) };
  });
  return { ping, ended };
}
