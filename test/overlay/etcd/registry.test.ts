/** Nodes in etcd: which node gets which prefix, who comes back, who is refused, and what is reclaimed. */
import test, { type ExecutionContext } from 'ava';
import { Cidr } from '../../../src/net/cidr.ts';
import { Ip } from '../../../src/net/ip.ts';
import { EtcdClient } from '../../../src/overlay/etcd/client.ts';
import { Presence } from '../../../src/overlay/etcd/presence.ts';
import { EtcdRegistry } from '../../../src/overlay/etcd/registry.ts';
import type { EtcdMembership } from '../../../src/overlay/etcd/settings.ts';
import { keyEvent, parts, put, startingWith } from '../../../src/overlay/etcd/wire.ts';
import type { Applicant } from '../../../src/overlay/record.ts';
import { Etcd } from '../../support/etcd.ts';
import { becomeHost, makeRoot } from '../../support/host.ts';

becomeHost();

/**
 * How long a hundred nodes may take to join at once, in ms, on a busy machine. An idle machine needs less than a
 * second.
 */
const JOINING = 60_000;

const root = makeRoot();
test.after.always(() => root.remove());

const teardowns: (() => void)[] = [];
let etcd: Etcd;
test.before(async () => {
  etcd = await Etcd.start({ teardown: (end) => void teardowns.push(end as () => void) }, root.path);
});
test.after.always(async () => {
  for (const end of teardowns) await end();
});

let count = 0;

function membership(more: Partial<EtcdMembership> = {}): EtcdMembership {
  return {
    network: `net${++count}`,
    subnet: Cidr.parse('10.96.0.0/16'),
    nodePrefix: 24,
    etcd: etcd.settings,
    hasBlocks: false,
    ...more,
  };
}

function open(t: Pick<ExecutionContext, 'teardown'>, of = membership()): EtcdRegistry {
  const client = new EtcdClient(of.etcd);
  t.teardown(() => client[Symbol.dispose]());
  return new EtcdRegistry(client, of);
}

function applicant(name: string, address: string, machine = `machine of ${name}`): Applicant {
  return { name, address: Ip.parse(address), machine };
}

async function recordsOf(registry: EtcdRegistry) {
  const { nodes } = await registry.list();
  return nodes.records(() => {});
}

test.serial('thousands of keys are read page by page, all of them and as of one revision', async (t) => {
  const of = membership();
  const registry = open(t, of);
  const keys = Array.from({ length: 2500 }, (_, i) => {
    const subnet = `10.${96 + (i >> 8)}.${i & 255}.0/24`;
    return put(`${registry.base}prefixes/${subnet.replace('/', '_')}`, `node${i}`);
  });
  for (let i = 0; i < keys.length; i += 125) await etcd.ask('/v3/kv/txn', { success: keys.slice(i, i + 125) });
  const { header } = (await etcd.ask('/v3/kv/range', { key: 'AA==' })) as { header: { revision: string } };
  const { ask } = EtcdClient.prototype;
  t.teardown(() => {
    EtcdClient.prototype.ask = ask;
  });
  let pages = 0;
  EtcdClient.prototype.ask = async function (path, body, signal) {
    const answer = await ask.call(this, path, body, signal);
    // A change between two pages is not part of the result.
    if (++pages === 1) await ask.call(this, '/v3/kv/txn', { success: [put(`${registry.base}settings`, '{}')] });
    return answer;
  };
  const { nodes, revision } = await registry.list();
  EtcdClient.prototype.ask = ask;
  t.is(pages, 10);
  t.is(nodes.taken, 2500);
  t.is(nodes.revisionOf(`${registry.base}settings`), 0);
  t.is(revision, header.revision);
});

test.serial('each node has a prefix of its own, and the same one again', async (t) => {
  const registry = open(t);
  const a = await registry.join(applicant('a', '192.0.2.1'));
  const b = await registry.join(applicant('b', '192.0.2.2'));
  t.false(a.record.subnet.overlaps(b.record.subnet));
  const { revision } = await registry.list();
  const again = await registry.join(applicant('a', '192.0.2.1'));
  t.deepEqual([`${again.record.subnet}`, again.isNew], [`${a.record.subnet}`, false]);
  t.is((await registry.list()).revision, revision, 'nothing is written where nothing differs');
});

test.serial('a node that joins reads all once, and what others do meanwhile the watch tells', async (t) => {
  const of = membership();
  await open(t, of).join(applicant('a', '192.0.2.1'));
  using client = new EtcdClient(of.etcd);
  const registry = new EtcdRegistry(client, of);
  const ask = client.ask.bind(client);
  const asked: string[] = [];
  client.ask = async (path, body, signal) => {
    if (path === '/v3/kv/txn') await open(t, of).join(applicant('b', '192.0.2.2'));
    asked.push(path);
    return await ask(path, body, signal);
  };
  const { listing } = await registry.join(applicant('own', '192.0.2.3'));
  t.deepEqual(asked, ['/v3/kv/range', '/v3/kv/txn']);
  const { nodes, revision } = listing;
  const names = () => nodes.records(() => {}).map(({ name }) => name);
  t.deepEqual(names().sort(), ['a', 'own']);
  const changed: string[] = [];
  const end = new AbortController();
  const request = { ...startingWith(registry.base), start_revision: `${BigInt(revision) + 1n}` };
  await t.throwsAsync(
    client.watch(request, end.signal, ({ events }) => {
      for (const event of parts(events).map(keyEvent)) {
        changed.push(...nodes.apply(event));
        if ('put' in event && event.put.key.endsWith('/nodes/own')) end.abort();
      }
    }),
  );
  t.deepEqual([...new Set(changed)], ['b'], 'and of itself nothing that it knows');
  t.deepEqual(
    nodes.records(() => {}),
    await recordsOf(registry),
  );
});

test.serial(
  'a node that comes back with another address or with an empty disk keeps its prefix; another of its name is refused',
  async (t) => {
    const registry = open(t);
    const { record: first } = await registry.join(applicant('a', '192.0.2.1'));
    const { record: moved } = await registry.join(applicant('a', '192.0.2.9'));
    t.deepEqual([`${moved.address}`, `${moved.subnet}`], ['192.0.2.9', `${first.subnet}`]);
    const { record: empty } = await registry.join(applicant('a', '192.0.2.9', 'new'));
    t.deepEqual([empty.machine, `${empty.subnet}`], ['new', `${first.subnet}`]);
    const error = await t.throwsAsync(registry.join(applicant('a', '192.0.2.10', 'third')), { code: 'name-taken' });
    t.is(error?.message, 'Cannot join the overlay as "a": another machine has the name, at 192.0.2.9');
    t.is((await recordsOf(registry)).length, 1);
  },
);

test.serial('two machines that take one name at once: one has it', async (t) => {
  const registry = open(t);
  const ends = await Promise.allSettled(
    ['one', 'two', 'three'].map((machine, i) => registry.join(applicant('a', `192.0.2.${i + 1}`, machine))),
  );
  t.is(ends.filter(({ status }) => status === 'fulfilled').length, 1);
  t.is((await recordsOf(registry)).length, 1);
});

test.serial('prefixes of another length are refused: one could be part of another', async (t) => {
  const of = membership();
  await open(t, of).join(applicant('a', '192.0.2.1'));
  const error = await t.throwsAsync(open(t, { ...of, nodePrefix: 26 }).join(applicant('b', '192.0.2.2')), {
    code: 'invalid-config',
  });
  t.is(error?.message, 'Cannot join the overlay: "nodePrefix" is 26, expected 24, as the nodes in etcd have it');
  // A node that is alone may change the length.
  const { record } = await open(t, { ...of, nodePrefix: 26 }).join(applicant('a', '192.0.2.1'));
  t.is(record.subnet.prefix, 26);
  t.is((await open(t, of).list()).nodes.prefixesOf('a').length, 1);
});

test.serial('a hundred nodes that join at once all have a prefix, none twice', async (t) => {
  const of = membership();
  const limit = AbortSignal.timeout(JOINING);
  let questions = 0;
  const begin = performance.now();
  const joins = Array.from({ length: 100 }, async (_, i) => {
    const client = new EtcdClient(of.etcd);
    t.teardown(() => client[Symbol.dispose]());
    const ask = client.ask.bind(client);
    client.ask = (...question) => {
      questions++;
      return ask(...question);
    };
    return await new EtcdRegistry(client, of).join(applicant(`node${i}`, `192.0.2.${i + 1}`), limit);
  });
  const joined = await Promise.all(joins);
  const took = performance.now() - begin;
  const records = await recordsOf(open(t, of));
  t.is(new Set(records.map(({ subnet }) => `${subnet}`)).size, 100);
  t.is(new Set(records.map(({ name }) => name)).size, 100);
  t.deepEqual(
    records.map(({ name, subnet }) => `${name} ${subnet}`).sort(),
    joined.map(({ record: { name, subnet } }) => `${name} ${subnet}`).sort(),
    'each knows what it has',
  );
  // Nobody waits for others: a node that is too late finds everything in the answer, and tries elsewhere.
  t.true(questions <= 600, `${questions} questions`);
  t.log(`${Math.round(took)} ms, ${questions} questions`); // the time depends on the machine's other work
});

test.serial('who may be there is not given up: who has just said so, and who never could', async (t) => {
  const of = membership();
  const registry = open(t, of);
  using client = new EtcdClient(of.etcd);
  const presence = new Presence(client, `${registry.base}alive/a`);
  const { signal } = new AbortController();
  const lease = async () => (await registry.list()).nodes.leaseOf('a');
  await registry.join(applicant('a', '192.0.2.1'));
  const never = await t.throwsAsync(registry.reclaim('a', 600), { code: 'still-seen' });
  t.regex(never?.message ?? '', /^Cannot reclaim 10\.96\.\d+\.0\/24 of "a": its agent has never reported/);
  await presence.tell(await lease(), signal);
  await t.throwsAsync(registry.reclaim('a', 600), { code: 'still-seen', message: /it was seen \d+ s ago/ });
  // If it is reclaimed all the same, it joins and reports again.
  await registry.reclaim('a', 0);
  await registry.join(applicant('a', '192.0.2.1'));
  await presence.tell(await lease(), signal);
  await t.throwsAsync(registry.reclaim('a', 600), { code: 'still-seen', message: /it was seen \d+ s ago/ });
  // The state after an hour.
  await etcd.ask('/v3/lease/revoke', { ID: await lease() });
  t.is((await registry.reclaim('a', 600)).name, 'a');
});

test.serial('a node is reclaimed although its last word comes in between', async (t) => {
  const of = membership();
  using client = new EtcdClient(of.etcd);
  const registry = new EtcdRegistry(client, of);
  const presence = new Presence(client, `${registry.base}alive/a`);
  const { signal } = new AbortController();
  await registry.join(applicant('a', '192.0.2.1'));
  const ask = client.ask.bind(client);
  let words = 0;
  client.ask = async (path, body, ...more) => {
    const isRemoval = path === '/v3/kv/txn' && JSON.stringify(body).includes('request_delete_range');
    if (isRemoval && words++ === 0) await presence.tell(undefined, signal);
    return ask(path, body, ...more);
  };
  t.is((await registry.reclaim('a', 0)).name, 'a');
  t.is(words, 2);
});

/** A client whose first transaction of a kind is carried out twice, as if the first answer had been lost. */
function losing(of: EtcdMembership, kind: string): EtcdClient {
  const client = new EtcdClient(of.etcd);
  const ask = client.ask.bind(client);
  let lost = 0;
  client.ask = async (path, body, ...more) => {
    const isOne = path === '/v3/kv/txn' && JSON.stringify(body).includes(kind);
    if (isOne && lost++ === 0) await ask(path, body, ...more);
    return ask(path, body, ...more);
  };
  return client;
}

test.serial('where an answer is lost on its way, what was asked is done once', async (t) => {
  const of = membership();
  using puts = losing(of, 'request_put');
  const { record } = await new EtcdRegistry(puts, of).join(applicant('a', '192.0.2.1'));
  t.deepEqual((await open(t, of).list()).nodes.prefixesOf('a').map(String), [`${record.subnet}`]);
  using more = losing(of, 'request_put');
  const block = await new EtcdRegistry(more, of).claim('a', undefined);
  const { nodes } = await open(t, of).list();
  t.deepEqual(nodes.prefixesOf('a').map(String).sort(), [`${record.subnet}`, `${block}`].sort());
  using removals = losing(of, 'request_delete_range');
  t.is((await new EtcdRegistry(removals, of).reclaim('a', 0)).name, 'a');
  t.is((await open(t, of).list()).nodes.taken, 0);
});

test.serial('when thousands were last seen is asked of a few at a time', async (t) => {
  const of = membership();
  using client = new EtcdClient(of.etcd);
  const registry = new EtcdRegistry(client, of);
  const nodes = Array.from({ length: 100 }, (_, i) => i);
  await Promise.all(nodes.map((i) => registry.join(applicant(`node${i}`, `192.0.2.${i + 1}`))));
  const presence = new Presence(client, `${registry.base}alive/node0`);
  await presence.tell(undefined, new AbortController().signal);
  const lease = (await registry.list()).nodes.leaseOf('node0') ?? '';
  await etcd.ask('/v3/kv/txn', { success: nodes.map((i) => put(`${registry.base}alive/node${i}`, lease)) });
  const ask = client.ask.bind(client);
  let [now, most] = [0, 0];
  client.ask = async (...question) => {
    most = Math.max(most, ++now);
    try {
      return await ask(...question);
    } finally {
      now--;
    }
  };
  t.is((await registry.silences()).size, 100);
  t.true(most <= 16, `${most} at once`);
});
