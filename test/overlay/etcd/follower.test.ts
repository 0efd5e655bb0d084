/** What a node knows, whatever its etcd does: compact, fall silent, withhold events, forget everything. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { Cidr } from '../../../src/net/cidr.ts';
import { Ip } from '../../../src/net/ip.ts';
import { EtcdClient } from '../../../src/overlay/etcd/client.ts';
import { EtcdFollower, type Intervals } from '../../../src/overlay/etcd/follower.ts';
import { EtcdRegistry } from '../../../src/overlay/etcd/registry.ts';
import type { EtcdMembership } from '../../../src/overlay/etcd/settings.ts';
import { put, startingWith } from '../../../src/overlay/etcd/wire.ts';
import { memoryOf, remembered } from '../../../src/overlay/memory.ts';
import { MemoryFeed } from '../../../src/overlay/memory-feed.ts';
import type { NodeRecord } from '../../../src/overlay/record.ts';
import { readStanding } from '../../../src/overlay/standing.ts';
import { pathsOf } from '../../../src/paths.ts';
import { openRoute } from '../../../src/rtnl/socket.ts';
import { Etcd } from '../../support/etcd.ts';
import { becomeHost, makeRoot } from '../../support/host.ts';
import { until } from '../../support/until.ts';

becomeHost();

const PROXY = 'http://127.0.0.1:3000';

function setUp(t: ExecutionContext) {
  const { path: root, remove } = makeRoot();
  t.teardown(remove);
  const paths = pathsOf({ NETLOOM_ROOT: root });
  const known = () => remembered(paths, 'net');
  const names = () =>
    known()
      .map(({ name }) => name)
      .sort()
      .join();
  return { root, paths, known, names };
}

function membership(etcd: Etcd, endpoints: readonly string[] = etcd.endpoints): EtcdMembership {
  return {
    network: 'net',
    subnet: Cidr.parse('10.96.0.0/16'),
    nodePrefix: 24,
    node: 'own',
    underlay: Cidr.parse('127.0.0.0/8'),
    etcd: { ...etcd.settings, endpoints },
    hasBlocks: false,
  };
}

/** Runs a follower until the test ends. */
function follow(
  t: ExecutionContext,
  of: EtcdMembership,
  paths: ReturnType<typeof pathsOf>,
  every: Partial<Intervals> = {},
): string[] {
  const said: string[] = [];
  const end = new AbortController();
  const nl = openRoute();
  const ended = new EtcdFollower(of, paths, (message) => said.push(message), { check: 300, ...every }).run(
    nl,
    end.signal,
  );
  t.teardown(async () => {
    end.abort();
    await ended;
    nl[Symbol.dispose]();
  });
  return said;
}

/** Another node joins. */
async function joins(etcd: Etcd, name: string, address: string): Promise<NodeRecord> {
  using client = new EtcdClient(etcd.settings);
  const registry = new EtcdRegistry(client, membership(etcd));
  return (await registry.join({ name, address: Ip.parse(address), machine: name })).record;
}

async function reclaim(etcd: Etcd, name: string): Promise<void> {
  using client = new EtcdClient(etcd.settings);
  await new EtcdRegistry(client, membership(etcd)).reclaim(name, 0);
}

interface Hindrances {
  /** A path that is refused to this user. */
  readonly denied?: string;
  /** Whether a line of a watch is withheld from the watcher. */
  readonly isWithheld?: (line: string) => boolean;
  /** Whether it accepts requests and no longer answers. */
  readonly isSilent?: () => boolean;
}

/**
 * A proxy in front of an etcd.
 * @param watch answers the n-th watch, from 1 on: the body to send, or undefined for a watch that is created and
 * reports nothing
 */
function proxy(
  t: ExecutionContext,
  etcd: Etcd,
  watch: (n: number, body: string) => string | undefined | Promise<string | undefined>,
  { denied, isWithheld, isSilent }: Hindrances = {},
): { count: number } {
  const watches = { count: 0 };
  const serve = async (question: IncomingMessage, answer: ServerResponse) => {
    let body: string | undefined = '';
    for await (const part of question) body += part;
    if (question.url === denied) {
      answer.writeHead(403).end('{"error":"etcdserver: permission denied"}');
      return;
    }
    if (isSilent?.() === true) return;
    if (question.url === '/v3/watch') body = await watch(++watches.count, body);
    if (body === undefined) {
      answer.write('{"result":{"header":{"revision":"1"},"created":true}}\n');
      return;
    }
    const { 'content-length': _, ...headers } = question.headers;
    const onward = request(`${etcd.endpoints[0]}${question.url}`, { method: 'POST', headers }, (response) => {
      answer.writeHead(response.statusCode ?? 500);
      if (isWithheld === undefined || question.url !== '/v3/watch') {
        response.pipe(answer);
        return;
      }
      const lines = createInterface(response);
      lines.on('line', (line) => isWithheld(line) || answer.write(`${line}\n`));
      lines.on('error', () => answer.destroy());
      lines.on('close', () => answer.end());
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    onward.end(body);
  };
  const server = createServer((question, answer) => void serve(question, answer)).listen(3000, '127.0.0.1');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return watches;
}

test.serial('who joins, and whose prefix is given back, is known', async (t) => {
  const { root, paths, names, known } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const of = membership(etcd);
  follow(t, of, paths);
  await until('it has joined', () => names() === 'own');
  await joins(etcd, 'other', '192.0.2.2');
  await until('the other is known', () => names() === 'other,own');
  t.regex(readStanding(paths, of)?.message ?? '', /^it joined as "own" with 10\.96\.\d+\.0\/24$/);
  const before = known().find(({ name }) => name === 'own');
  await reclaim(etcd, 'other');
  await until('it has left', () => names() === 'own');
  await reclaim(etcd, 'own');
  await joins(etcd, 'third', '192.0.2.3');
  await until('it has joined again', () => names() === 'own,third');
  t.deepEqual(`${known().find(({ name }) => name === 'own')?.subnet}`, `${before?.subnet}`);
});

test.serial('a machine with a copied disk, which is the same node by its id, is told of', async (t) => {
  const { root, paths, names, known } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const of = membership(etcd);
  const said = follow(t, of, paths);
  await until('it has joined', () => names() === 'own');
  using client = new EtcdClient(etcd.settings);
  const [own] = known();
  const twin = { name: 'own', address: Ip.parse('192.0.2.9'), machine: own?.machine ?? '' };
  await new EtcdRegistry(client, of).join(twin);
  await until('it says so', () => said.length > 0);
  t.regex(said.join('\n'), /^another machine is the node "own", too, at 192\.0\.2\.9, and has this one's id: /);
  t.regex(readStanding(paths, of)?.message ?? '', /another machine/);
});

test.serial('a change is added to what is written down, and told of whoever has read it', async (t) => {
  const { root, paths, names, known } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const of = membership(etcd);
  await joins(etcd, 'other', '127.0.0.2');
  follow(t, of, paths);
  await until('it knows both', () => names() === 'other,own');
  using feed = new MemoryFeed(paths, 'net');
  t.is(feed.records()?.length, 2);
  const file = memoryOf(paths, 'net');
  const before = { ino: statSync(file).ino, text: readFileSync(file, 'utf8') };
  await joins(etcd, 'third', '127.0.0.3');
  await until('it knows of the third', () => names() === 'other,own,third');
  await reclaim(etcd, 'other');
  await until('it knows that one is gone', () => names() === 'own,third');
  t.is(statSync(file).ino, before.ino);
  t.true(readFileSync(file, 'utf8').startsWith(before.text));
  const changes = feed.news()?.map((change) => ('put' in change ? `${change.put.address}` : change.gone));
  t.deepEqual(changes, ['127.0.0.3', 'other']);
  t.is(JSON.stringify(feed.records()), JSON.stringify(known()));
});

test.serial('a watch of a revision that was compacted: all is read again, and followed', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  for (const [i, name] of ['a', 'b', 'c'].entries()) await joins(etcd, name, `192.0.2.${i + 1}`);
  await etcd.ask('/v3/kv/compaction', { revision: '4', physical: true });
  const watches = proxy(t, etcd, (n, body) =>
    n === 1 ? body.replace(/"start_revision":"\d+"/, '"start_revision":"2"') : body,
  );
  follow(t, membership(etcd, [PROXY]), paths);
  await until('it watches again', () => watches.count >= 2);
  await joins(etcd, 'd', '192.0.2.4');
  await until('all are known', () => names() === 'a,b,c,d,own');
  t.is(watches.count, 2);
  // Compaction while it watches: it has received everything that is compacted.
  const { header } = (await etcd.ask('/v3/kv/range', { key: 'AA==' })) as { header: { revision: string } };
  await etcd.ask('/v3/kv/compaction', { revision: header.revision, physical: true });
  await joins(etcd, 'e', '192.0.2.5');
  await until('this one too', () => names() === 'a,b,c,d,e,own');
});

test.serial('a watch that is there and tells nothing is given up', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const watches = proxy(t, etcd, (n, body) => (n === 1 ? undefined : body));
  const said = follow(t, membership(etcd, [PROXY]), paths);
  await until('it watches', () => watches.count === 1);
  await joins(etcd, 'other', '192.0.2.2');
  await until('the other is known', () => names() === 'other,own');
  t.regex(said.join('\n'), /The watch of etcd at http:\/\/127\.0\.0\.1:3000 tells nothing/);
});

test.serial('a watch that is refused again and again is asked for less and less often', async (t) => {
  const { root, paths } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const { random } = Math;
  Math.random = () => 0.99; // the longest wait each time
  t.teardown(() => {
    Math.random = random;
  });
  const asked: number[] = [];
  proxy(t, etcd, () => {
    asked.push(performance.now());
    return '{';
  });
  follow(t, membership(etcd, [PROXY]), paths);
  await until('it has asked six times', () => asked.length >= 6);
  const [first = 0, second = 0, , , fifth = 0, sixth = 0] = asked;
  // Each wait is twice as long as the one before.
  t.true(sixth - fifth > 5 * (second - first), asked.join());
});

test.serial('another address of this machine is told, whenever etcd is asked next', async (t) => {
  const { root, paths, known } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const here = (address: string) => execFileSync('ip', ['addr', 'replace', `${address}/24`, 'dev', 'lo']);
  here('198.51.100.1');
  const of = { ...membership(etcd), underlay: Cidr.parse('198.51.100.0/24') };
  follow(t, of, paths, { check: 600_000 });
  const isAt = (address: string) => known().some((node) => `${node.address}` === address);
  await until('it has joined', () => isAt('198.51.100.1'));
  const prefixes = () => known().map(({ subnet }) => `${subnet}`);
  const before = prefixes();
  execFileSync('ip', ['addr', 'del', '198.51.100.1/24', 'dev', 'lo']);
  here('198.51.100.2');
  await until('it is known at the other one', () => isAt('198.51.100.2'));
  t.deepEqual(prefixes(), before);
});

test.serial('what happens before a watch is made, and that it does not tell, is missed soon', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const joined = async (n: number, body: string) => {
    if (n === 1) await joins(etcd, 'other', '192.0.2.2');
    return body;
  };
  const watches = proxy(t, etcd, joined, { isWithheld: (line) => watches.count === 1 && line.includes('"events"') });
  const said = follow(t, membership(etcd, [PROXY]), paths);
  await until('the other is known', () => names() === 'other,own');
  await until('it watches again', () => watches.count === 2);
  t.regex(said.join('\n'), /tells nothing/);
});

test.serial('an endpoint that has fallen silent is left for the next, and not that one as well', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  let questions = 0;
  let isOver = false;
  proxy(t, etcd, (_, body) => body, { isSilent: () => isOver && ++questions > 0 });
  const said = follow(t, membership(etcd, [PROXY, ...etcd.endpoints]), paths);
  await until('it has joined and said that it is there', async () => {
    const { kvs } = await etcd.ask('/v3/kv/range', startingWith('/netloom/net/alive/'));
    return names() === 'own' && kvs !== undefined;
  });
  isOver = true;
  await until('it says so', () => said.length > 0);
  await joins(etcd, 'other', '192.0.2.2');
  await until('the other is known', () => names() === 'other,own');
  t.is(questions, 1);
});

test.serial('a removal that the watch does not tell is found when all is read again, after a time', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  let withheld = 0;
  const watches = proxy(t, etcd, (_, body) => body, {
    isWithheld(line) {
      const isRemoval = line.includes('"DELETE"');
      if (isRemoval) withheld++;
      return isRemoval;
    },
  });
  const said = follow(t, membership(etcd, [PROXY]), paths, { relist: 2_000 });
  await until('it has joined', () => names() === 'own');
  // NB: repeat it if need be. A removal while there is no watch needs none, nor does one after an error.
  for (let i = 1; ; i++) {
    const [before, mistakes] = [withheld, said.length];
    await joins(etcd, `leaving${i}`, '192.0.2.2');
    await until('both are known', () => names() === `leaving${i},own`);
    await reclaim(etcd, `leaving${i}`);
    await until('it is gone', () => names() === 'own');
    t.true(i < 20, `${said}`);
    if (withheld > before && said.length === mistakes) break;
  }
  const now = watches.count;
  await until('it goes on watching', () => watches.count > now);
});

test.serial('what it cannot write down it says, and goes on once it can', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const of = membership(etcd);
  const said = follow(t, of, paths);
  await until('it has joined', () => names() === 'own');
  // Files where directories should be.
  const folders = [`${paths.state}/overlay`, `${paths.run}/overlay`];
  for (const folder of folders) {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
  }
  await joins(etcd, 'other', '192.0.2.2');
  await until('it says of both that it cannot', () => said.length >= 2);
  for (const folder of folders) rmSync(folder);
  await until('the other is known', () => names() === 'other,own');
  await until('it says how it stands', () => /^it joined/.test(readStanding(paths, of)?.message ?? ''));
  t.true(folders.every((folder) => said.some((message) => message.includes(folder))));
});

test.serial('a record that cannot be read is said once, and again where it has changed', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  const write = (value: string) => etcd.ask('/v3/kv/txn', { success: [put('/netloom/net/nodes/odd', value)] });
  await write('odd');
  const said = follow(t, membership(etcd), paths);
  await until('it has joined', () => names() === 'own');
  await joins(etcd, 'other', '192.0.2.2');
  await until('the other is known', () => names() === 'other,own');
  const passedOver = `The node in etcd's "/netloom/net/nodes/odd" is passed over: expected "name", "address" and "subnet"`;
  t.deepEqual(said, [passedOver]);
  await write('odder');
  await until('it is said again', () => said.length === 2);
  t.deepEqual(said, [passedOver, passedOver]);
});

test.serial('a node that may not say that it is there says so to people, and follows', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root);
  proxy(t, etcd, (_, body) => body, { denied: '/v3/lease/grant' });
  const said = follow(t, membership(etcd, [PROXY]), paths);
  await until('it says so', () => said.length > 0);
  t.regex(said.join('\n'), /^Cannot say in etcd that this node is there: .* refused: etcdserver: permission denied$/);
  await joins(etcd, 'other', '192.0.2.2');
  await until('the other is known', () => names() === 'other,own');
  using client = new EtcdClient(etcd.settings);
  const registry = new EtcdRegistry(client, membership(etcd));
  await t.throwsAsync(registry.reclaim('own', 600), { code: 'still-seen' });
});

test.serial('a member that stops in the middle is left for another', async (t) => {
  const { root, paths, names } = setUp(t);
  const etcd = await Etcd.start(t, root, { members: 3 });
  follow(t, membership(etcd), paths);
  await until('it has joined', () => names() === 'own');
  await etcd.killMember(0, 'SIGSTOP');
  const [, ...others] = etcd.endpoints;
  using client = new EtcdClient({ ...etcd.settings, endpoints: others });
  const registry = new EtcdRegistry(client, membership(etcd));
  await until('the others have a leader', async () => {
    await registry.join({ name: 'other', address: Ip.parse('192.0.2.2'), machine: 'other' });
    return true;
  });
  await until('the other is known', () => names() === 'other,own');
  t.pass();
});

test.serial(
  'an etcd that has forgotten everything: its nodes come back with what they had, and nobody is forgotten',
  async (t) => {
    const { root, paths, names, known } = setUp(t);
    const etcd = await Etcd.start(t, root);
    follow(t, membership(etcd), paths);
    await until('it has joined', () => names() === 'own');
    const other = await joins(etcd, 'other', '192.0.2.2');
    await until('the other is known', () => names() === 'other,own');
    const before = known();
    await etcd.killMember(0);
    etcd.forgetMember(0);
    etcd.startMember(0);
    await etcd.serves();
    using client = new EtcdClient(etcd.settings);
    const registry = new EtcdRegistry(client, membership(etcd));
    await until('it has joined again', async () => (await registry.list()).nodes.find('own') !== undefined);
    t.is(JSON.stringify(known()), JSON.stringify(before));
    t.is(names(), 'other,own');
    t.is(
      `${(await registry.list()).nodes.find('own')?.subnet}`,
      `${before.find(({ name }) => name === 'own')?.subnet}`,
    );
    // The other node is back at another address. What the store says counts.
    await registry.join({ name: 'other', address: Ip.parse('192.0.2.9'), machine: 'other', former: other.subnet });
    await until('it is known', () => known().some(({ address }) => `${address}` === '192.0.2.9'));
    t.is(`${known().find(({ name }) => name === 'other')?.subnet}`, `${other.subnet}`);
  },
);
