/**
 * Three machines with ten containers each, an agent on each machine, and a shared store. All containers reach all
 * others in each mode, with the largest packet, also after a machine was killed and came back, and after the underlay
 * was cut. The judges are fping, ip, bridge and the kernel's fragment counters.
 */
import type { ChildProcess } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { becomeHost } from '../../support/host.ts';
import { until } from '../../support/until.ts';
import { Cluster, type ClusterOptions, type Container, type Machine } from './cluster.ts';
import { EtcdStore } from './etcd-store.ts';
import { wiring } from './wiring.ts';

becomeHost();

const EACH = 10;

const STORES = ['file', 'etcd'] as const;

/** How many bytes a mode adds to a packet, over IPv4 and IPv6. */
const ROOM = { l3: [50, 70], l2: [50, 70], direct: [0, 0] } as const;

/** The size of the headers of an echo request. */
const HEADERS = { 4: 28, 6: 48 } as const;

interface Populated {
  readonly cluster: Cluster;
  readonly conf: (machine: Machine) => Record<string, unknown>;
  readonly agents: Map<string, ChildProcess>;
  readonly containers: Map<string, Container[]>;
}

/** Both ways to connect containers to their machine get tested. */
function wiringOf(mode: string, store: (typeof STORES)[number]): 'routed' | 'bridge' {
  return store === 'etcd' && mode !== 'l2' ? 'routed' : 'bridge';
}

/** Machines that know each other, each with an agent and ten containers. */
async function populated(
  t: ExecutionContext,
  mode: string,
  store: (typeof STORES)[number],
  options: ClusterOptions = {},
): Promise<Populated> {
  const cluster = new Cluster(t, options);
  if (store === 'etcd') await EtcdStore.serve(t, cluster);
  const conf = (machine: Machine) => cluster.sharedConf(machine, { mode, wiring: wiringOf(mode, store) });
  const all: Populated = { cluster, conf, agents: new Map(), containers: new Map() };
  await Promise.all(cluster.machines.map((machine) => populate(t, all, machine)));
  await everybodyMeets(all);
  return all;
}

async function populate(t: ExecutionContext, { cluster, conf, agents, containers }: Populated, machine: Machine) {
  agents.set(machine.name, await cluster.agent(t, machine, conf(machine)));
  const names = Array.from({ length: EACH }, (_, i) => `${machine.name}-${i}`);
  containers.set(machine.name, await cluster.addAll(machine, names, conf(machine)));
}

/** Each agent learns of the others by an event, or looks once a second. */
async function everybodyMeets({ cluster, containers }: Populated) {
  const firsts = [...containers.values()].flatMap(([first]) => first ?? []);
  const addresses = firsts.map(({ address }) => address);
  await until('one container of each machine reaches those of the others', () => {
    const gaps = firsts.flatMap((each) => cluster.unreached(each, addresses, '-W 1'));
    if (gaps.length > 0) throw new Error(`these do not answer: ${gaps.join(', ')}`);
    return true;
  });
}

const everybody = ({ containers }: Populated) => [...containers.values()].flat();

/** Which containers do not reach which others with packets of the largest size, none of which may be fragmented. */
async function gaps(all: Populated): Promise<string[]> {
  const { cluster } = all;
  const mtu = everybody(all)[0]?.result.interfaces?.[0]?.mtu ?? 0;
  const whole = cluster.inner === 4 ? ['-M'] : [];
  return await cluster.gaps(everybody(all), '-b', `${mtu - HEADERS[cluster.inner]}`, ...whole);
}

const WAYS = STORES.flatMap((store) => (['l3', 'l2', 'direct'] as const).map((mode) => ({ store, mode })));

for (const { store, mode } of WAYS) {
  test.serial(
    `${mode}, ${wiringOf(mode, store)}, IPv4, nodes in ${store}: all reach all with the largest packet; the underlay is cut and heals; a machine loses its power and comes back`,
    async (t) => {
      const all = await populated(t, mode, store);
      await assertWhole(t, all, mode, 4);
      await cutAndHeal(t, all);
      await losePower(t, all);
    },
  );

  test.serial(
    `${mode}, ${wiringOf(mode, store)}, IPv6, nodes in ${store}: all reach all with the largest packet`,
    async (t) => {
      const all = await populated(t, mode, store, { family: 6, inner: mode === 'direct' ? 6 : 4 });
      await assertWhole(t, all, mode, 6);
    },
  );
}

/** All reach all with the largest packet, one byte more does not fit, and no packet is fragmented. */
async function assertWhole(t: ExecutionContext, all: Populated, mode: keyof typeof ROOM, family: 4 | 6): Promise<void> {
  const { cluster } = all;
  t.is(new Set(everybody(all).map(({ address }) => address)).size, 3 * EACH);
  const mtu = 1500 - ROOM[mode][family === 4 ? 0 : 1];
  t.deepEqual([...new Set(everybody(all).flatMap(({ result }) => result.interfaces?.map((each) => each.mtu)))], [mtu]);
  t.deepEqual(await gaps(all), []);
  const [first, other] = [firstOf(all, 'n1'), firstOf(all, 'n2')];
  const tooLarge = `-W 1 -M do -s ${mtu - HEADERS[cluster.inner] + 1}`;
  t.deepEqual(cluster.unreached(first, [other.address], tooLarge), [other.address], 'one byte more');
  for (const { sandbox } of [...cluster.machines, ...everybody(all)]) {
    const counted = sandbox.run('nstat', '-asz', 'IpFragCreates', 'Ip6FragCreates');
    t.regex(counted, /IpFragCreates +0 /, sandbox.name);
    t.regex(counted, /Ip6FragCreates +0 /, sandbox.name);
  }
}

/** Nothing changes while the underlay is cut, and all reach all once it is back. */
async function cutAndHeal(t: ExecutionContext, all: Populated): Promise<void> {
  const { cluster } = all;
  const [one] = cluster.machines;
  if (one === undefined) throw new Error('there are three');
  const before = cluster.machines.map(wiring);
  const [alone, together, other] = ['n1', 'n2', 'n3'].map((name) => firstOf(all, name)) as [
    Container,
    Container,
    Container,
  ];

  cluster.cable(one, 'down');
  t.deepEqual(cluster.unreached(alone, [together.address], '-W 1'), [together.address]);
  t.deepEqual(cluster.unreached(together, [other.address]), []);
  for (const machine of cluster.machines) cluster.cable(machine, 'down');
  t.deepEqual(cluster.unreached(together, [other.address], '-W 1'), [other.address]);
  for (const machine of cluster.machines) cluster.cable(machine, 'up');

  await everybodyMeets(all);
  t.deepEqual(await gaps(all), []);
  t.deepEqual(cluster.machines.map(wiring), before);
}

/** The others go on. The machine comes back as the same node, so that nobody has to change anything. */
async function losePower(t: ExecutionContext, all: Populated): Promise<void> {
  const { cluster, agents, containers } = all;
  const others = cluster.machines.filter(({ name }) => name !== 'n3');
  const lost = cluster.machines.find(({ name }) => name === 'n3');
  if (lost === undefined) throw new Error('there are three');
  const before = others.map(wiring);
  const nodes = await cluster.shared.nodes();

  agents.get(lost.name)?.kill('SIGKILL');
  cluster.cutPower(lost);
  for (const { sandbox } of containers.get(lost.name) ?? []) sandbox[Symbol.dispose]();
  containers.delete(lost.name);
  t.deepEqual(await gaps(all), []);
  t.deepEqual(others.map(wiring), before, 'what leads to it stays');

  const back = cluster.boot(lost.number);
  // A runtime does this after a boot: it has no containers.
  cluster.gc(back, [], all.conf(back));
  await populate(t, all, back);
  await everybodyMeets(all);
  t.deepEqual(await gaps(all), []);
  t.deepEqual(await cluster.shared.nodes(), nodes, 'with the prefix that it had');
  t.deepEqual(others.map(wiring), before);
}

function firstOf({ containers }: Populated, machine: string): Container {
  const [first] = containers.get(machine) ?? [];
  if (first === undefined) throw new Error(`"${machine}" has none`);
  return first;
}
