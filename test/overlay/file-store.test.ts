/**
 * Records of nodes in a directory: which node gets which prefix, who comes back, who is refused, and what is reclaimed.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { join, readRecords, reclaim, silenceOf, stampOf, timeOf, touch } from '../../src/overlay/file-store.ts';
import type { Applicant, NodeRecord } from '../../src/overlay/record.ts';
import { makeRoot } from '../support/host.ts';

const root = makeRoot();
test.after.always(() => root.remove());

/** How long a hundred nodes may take to join at once, in ms, on a busy machine. */
const JOINING = 60_000;

const SUBNET = Cidr.parse('10.96.0.0/16');
let count = 0;

function directory(): string {
  const path = joinPath(root.path, `store${++count}`);
  mkdirSync(path);
  return path;
}

function applicant(name: string, address: string, machine = `machine of ${name}`): Applicant {
  return { name, address: Ip.parse(address), machine };
}

const silent = () => {};

function fileOf(store: string, { subnet }: NodeRecord): string {
  return joinPath(store, `${subnet}.json`.replace('/', '_'));
}

/** Makes a node last seen so many seconds ago; a negative number is in the future. */
function silentFor(store: string, node: NodeRecord, seconds: number): void {
  const then = Date.now() / 1000 - seconds;
  utimesSync(fileOf(store, node), then, then);
}

test('each node has a prefix of its own, and the same one again', (t) => {
  const store = directory();
  const [a, b] = ['a', 'b'].map((name, i) => join(store, SUBNET, 24, applicant(name, `192.0.2.${i + 1}`)));
  t.false(a?.subnet.equals(b?.subnet ?? SUBNET));
  const again = join(store, SUBNET, 24, applicant('a', '192.0.2.1'));
  t.deepEqual(again.subnet, a?.subnet);
  t.is(readRecords(store, silent)?.length, 2);
  const file = `${`${a?.subnet}`.replace('/', '_')}.json`;
  t.deepEqual(JSON.parse(readFileSync(joinPath(store, file), 'utf8')), {
    name: 'a',
    address: '192.0.2.1',
    subnet: `${a?.subnet}`,
    machine: 'machine of a',
  });
});

test('a node that comes back with another address or with an empty disk keeps its prefix; another of its name is refused', (t) => {
  const store = directory();
  const first = join(store, SUBNET, 24, applicant('a', '192.0.2.1'));
  const moved = join(store, SUBNET, 24, applicant('a', '192.0.2.9'));
  t.deepEqual([`${moved.address}`, moved.subnet], ['192.0.2.9', first.subnet]);
  const empty = join(store, SUBNET, 24, applicant('a', '192.0.2.9', 'new'));
  t.deepEqual([empty.machine, empty.subnet], ['new', first.subnet]);
  const error = t.throws(() => join(store, SUBNET, 24, applicant('a', '192.0.2.10', 'third')), { code: 'name-taken' });
  t.is(error?.message, 'Cannot join the overlay as "a": another machine has the name, at 192.0.2.9');
  t.is(readRecords(store, silent)?.length, 1);
});

test('what somebody else keeps has no machine, and is taken as it is', (t) => {
  const store = directory();
  writeFileSync(joinPath(store, 'a.json'), '{"name": "a", "address": "192.0.2.1", "subnet": "10.96.7.0/24"}');
  t.is(`${readRecords(store, silent)?.[0]?.subnet}`, '10.96.7.0/24');
  t.is(`${join(store, SUBNET, 24, applicant('b', '192.0.2.2')).subnet}`.includes('10.96.7.'), false);
});

test.serial('a search past many prefixes in a row compares none of them with each other', (t) => {
  const store = directory();
  const small = Cidr.parse('10.96.0.0/23');
  for (let i = 0; i < 127; i++) {
    const subnet = `10.96.${i >> 6}.${(i & 63) * 4}/30`;
    const file = subnet.replace('/', '_');
    writeFileSync(joinPath(store, `${file}.json`), JSON.stringify({ name: `n${i}`, address: '192.0.2.1', subnet }));
  }
  const { overlaps } = Cidr.prototype;
  t.teardown(() => {
    Cidr.prototype.overlaps = overlaps;
  });
  let comparisons = 0;
  Cidr.prototype.overlaps = function (other) {
    comparisons++;
    return overlaps.call(this, other);
  };
  t.is(`${join(store, small, 30, applicant('last', '192.0.2.2')).subnet}`, '10.96.1.252/30');
  t.is(comparisons, 0);
});

test('when all are taken it says so; a prefix that is given back is given again', (t) => {
  const store = directory();
  const small = Cidr.parse('10.96.0.0/22');
  for (const i of [1, 2, 3, 4]) join(store, small, 24, applicant(`n${i}`, `192.0.2.${i}`));
  const fifth = applicant('n5', '192.0.2.5');
  const error = t.throws(() => join(store, small, 24, fifth), { code: 'address-exhausted' });
  t.is(error?.message, 'Cannot join the overlay: all 4 prefixes of /24 in 10.96.0.0/22 are taken');
  const gone = readRecords(store, silent)?.find(({ name }) => name === 'n2');
  if (gone === undefined) throw new Error('it was there');
  silentFor(store, gone, 50);
  const early = t.throws(() => reclaim(store, 'n2', 600_000), { code: 'still-seen' });
  t.regex(early?.message ?? '', /^Cannot reclaim \S+ of "n2": it was seen 5\d s ago, expected 600 s of silence$/);
  t.deepEqual(reclaim(store, 'n2', 1_000).subnet, gone.subnet);
  t.throws(() => reclaim(store, 'n2', 0), { code: 'no-such-node' });
  t.deepEqual(join(store, small, 24, fifth).subnet, gone.subnet);
});

test('one that was reclaimed and comes back gets its former prefix where nobody has it', (t) => {
  const store = directory();
  const first = join(store, SUBNET, 24, applicant('a', '192.0.2.1'));
  const former = Cidr.parse('10.96.200.0/24');
  reclaim(store, 'a', 0);
  t.deepEqual(join(store, SUBNET, 24, { ...applicant('a', '192.0.2.1'), former }).subnet, former);
  t.notDeepEqual(first.subnet, former);
});

test('when a node was seen is told by the clock of the file system, and one in the future was seen just now', (t) => {
  const store = directory();
  t.is(timeOf(store), undefined);
  const a = join(store, SUBNET, 24, applicant('a', '192.0.2.1'));
  const now = timeOf(store) ?? 0;
  t.true(Math.abs(now - Date.now()) < 60_000);
  silentFor(store, a, 7200);
  t.is(Math.round((silenceOf(store, a, now) ?? 0) / 60_000), 120);
  t.true(touch(store, a));
  t.true((silenceOf(store, a, timeOf(store) ?? 0) ?? 7200_000) < 60_000);
  // The clock was set back.
  silentFor(store, a, -7200);
  t.is(silenceOf(store, a, now), 0);
  t.throws(() => reclaim(store, 'a', 1_000), { code: 'still-seen', message: /it was seen 0 s ago/ });
  t.is(reclaim(store, 'a', 0).name, 'a');
  t.false(touch(store, a));
});

test('a file that cannot be read is named and passed over, and its prefix is not given away', (t) => {
  const store = directory();
  const first = join(store, Cidr.parse('10.96.0.0/24'), 24, applicant('a', '192.0.2.1'));
  writeFileSync(joinPath(store, '10.96.0.0_24.json'), '{"name": ');
  const said: string[] = [];
  t.deepEqual(
    readRecords(store, (message) => said.push(message)),
    [],
  );
  t.regex(said.join(), /The node in ".*10\.96\.0\.0_24\.json" is passed over: /);
  t.throws(() => join(store, Cidr.parse('10.96.0.0/24'), 24, applicant('b', '192.0.2.2')), {
    code: 'address-exhausted',
  });
  t.truthy(first);
});

test('a directory that goes away while it is read is away: half of the nodes are not all', (t) => {
  const store = directory();
  for (let i = 0; i < 10; i++) join(store, SUBNET, 24, applicant(`n${i}`, `192.0.2.${i + 1}`));
  // Two files, so that whichever is read first, another comes after it.
  for (const name of ['a', 'b']) writeFileSync(joinPath(store, `${name}.json`), '{"name": ');
  const goesAway = () => {
    if (existsSync(store)) renameSync(store, `${store}.away`);
  };
  t.is(readRecords(store, goesAway), undefined);
  mkdirSync(store);
  t.deepEqual(readRecords(store, silent), [], 'what is left where a mount is missing');
  rmdirSync(store);
  renameSync(`${store}.away`, store);
  // A node that is reclaimed meanwhile does not count as that.
  const records = readRecords(store, () => {
    for (const name of ['a', 'b']) rmSync(joinPath(store, `${name}.json`), { force: true });
  });
  t.is(records?.length, 10);
});

test('the stamp changes with every node that comes, moves or goes, and not with one that says that it is there', (t) => {
  const store = directory();
  utimesSync(store, 1, 1); // the file clock of some kernels stands still for 4 ms
  const stamps = [stampOf(store)];
  const a = join(store, SUBNET, 24, applicant('a', '192.0.2.1'));
  stamps.push(stampOf(store));
  utimesSync(fileOf(store, a), 1, 1);
  touch(store, a);
  t.is(stampOf(store), stamps[1] ?? '');
  t.not(stamps[0], stamps[1]);
  t.is(stampOf(joinPath(store, 'nowhere')), '');
});

test('a hundred nodes that join at once, in four processes, all have a prefix, none twice', async (t) => {
  const store = directory();
  const worker = fileURLToPath(new URL('./join-worker.ts', import.meta.url));
  const begin = performance.now();
  const ends = [0, 1, 2, 3].map(
    (i) =>
      new Promise<string>((resolve) => {
        const args = [...process.execArgv, worker, store, `${i}`];
        const child = spawn(process.execPath, args, { stdio: 'pipe', timeout: JOINING, killSignal: 'SIGKILL' });
        let said = '';
        for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
        child.on('close', (status, signal) => resolve(status === 0 ? '' : `${signal ?? status}: ${said}`));
      }),
  );
  t.deepEqual(await Promise.all(ends), ['', '', '', '']);
  t.log(`${Math.round(performance.now() - begin)} ms, most of it to start them`);
  const records = readRecords(store, silent) ?? [];
  t.is(new Set(records.map(({ name }) => name)).size, 100);
  t.is(new Set(records.map(({ subnet }) => `${subnet}`)).size, 100);
  t.deepEqual(
    readdirSync(store).filter((name) => name.startsWith('.')),
    [],
  );
});
