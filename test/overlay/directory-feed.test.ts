/**
 * What a feed reports about a directory of records while it is changed in different ways, compared with a full reading.
 */
import { linkSync, mkdirSync, renameSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { DirectoryFeed } from '../../src/overlay/directory-feed.ts';
import { readRecords } from '../../src/overlay/file-store.ts';
import type { Change } from '../../src/overlay/record.ts';
import { makeRoot } from '../support/host.ts';

const silent = () => {};

function text(number: number, address = `192.0.2.${number}`): string {
  return JSON.stringify({ name: `node${number}`, address, subnet: `10.96.${number}.0/24` });
}

/** A directory with three nodes, and a feed that has read them. */
function setUp(t: ExecutionContext) {
  const root = makeRoot();
  t.teardown(() => root.remove());
  const store = join(root.path, 'store');
  mkdirSync(store);
  const fileOf = (number: number) => join(store, `10.96.${number}.0_24.json`);
  const replace = (number: number, content: string) => {
    writeFileSync(join(store, '.new'), content);
    renameSync(join(store, '.new'), fileOf(number));
  };
  for (const number of [1, 2, 3]) replace(number, text(number));
  const feed = new DirectoryFeed(store);
  t.teardown(() => feed[Symbol.dispose]());
  t.deepEqual(feed.records(silent), readRecords(store, silent));
  t.deepEqual(feed.news(), []);
  return { store, fileOf, replace, feed };
}

function say(changes: readonly Change[] | undefined): string[] | undefined {
  return changes?.map((change) => ('put' in change ? `${change.put.name} ${change.put.address}` : change.gone));
}

test('a change is told, and only the change', (t) => {
  const { store, fileOf, replace, feed } = setUp(t);
  replace(2, text(2, '192.0.2.22'));
  t.deepEqual(say(feed.news()), ['node2 192.0.2.22']);
  t.deepEqual(feed.news(), []);
  writeFileSync(fileOf(3), text(3, '192.0.2.33'));
  t.deepEqual(say(feed.news()), ['node3 192.0.2.33'], 'written in place');
  writeFileSync(join(store, '.beside'), text(4));
  linkSync(join(store, '.beside'), fileOf(4));
  t.deepEqual(say(feed.news()), ['node4 192.0.2.4'], 'by link(2), as a node takes its prefix');
  unlinkSync(fileOf(1));
  t.deepEqual(say(feed.news()), ['node1']);
  t.deepEqual(feed.records(silent), readRecords(store, silent));
});

test('what says nothing new is no change', (t) => {
  const { store, fileOf, replace, feed } = setUp(t);
  utimesSync(fileOf(1), 5, 5);
  replace(2, text(2));
  writeFileSync(join(store, 'lock'), '');
  t.deepEqual(feed.news(), []);
  t.deepEqual(feed.catchUp(), []);
});

test('a record that cannot be read takes a look at everything, which says so; the watch alone waits for the rest of it', (t) => {
  const { fileOf, feed } = setUp(t);
  writeFileSync(fileOf(5), text(5).slice(0, 20));
  t.deepEqual(feed.news(), []);
  t.is(feed.catchUp(), undefined);
  const said: string[] = [];
  t.is(feed.records((message) => said.push(message))?.length, 3);
  t.regex(said.join(), /10\.96\.5\.0_24\.json" is passed over/);
  writeFileSync(fileOf(5), text(5));
  t.deepEqual(say(feed.news()), ['node5 192.0.2.5']);
});

test('what nothing has told of is found', (t) => {
  const { store, replace, feed } = setUp(t);
  // As with a shared mount that gives no events for other machines' changes: the directory under watch is replaced.
  renameSync(store, `${store}.old`);
  mkdirSync(store);
  for (const number of [1, 3]) replace(number, text(number));
  replace(4, text(4));
  t.deepEqual(say(feed.news()), []);
  t.deepEqual(say(feed.catchUp())?.toSorted(), ['node2', 'node4 192.0.2.4']);
  replace(4, text(4, '192.0.2.44'));
  t.deepEqual(say(feed.news()), ['node4 192.0.2.44'], 'the new one is watched');
  rmSync(store, { recursive: true });
  t.is(feed.catchUp(), undefined);
  t.is(feed.records(silent), undefined);
});

test('where the whole directory has gone nobody has left', (t) => {
  const { store, feed } = setUp(t);
  renameSync(store, `${store}.away`);
  unlinkSync(join(`${store}.away`, '10.96.2.0_24.json'));
  t.is(feed.news(), undefined);
  renameSync(`${store}.away`, store);
  t.deepEqual(feed.records(silent), readRecords(store, silent));
});

test('a directory that goes while it is read for the first time is away: half of the nodes are not all', (t) => {
  const { store } = setUp(t);
  using feed = new DirectoryFeed(store);
  // Two files, so that whichever is read first, another comes after it.
  for (const name of ['a', 'b']) writeFileSync(join(store, `${name}.json`), '{"name": ');
  let isAway = false;
  const records = feed.records(() => {
    if (!isAway) renameSync(store, `${store}.away`);
    isAway = true;
  });
  t.is(records, undefined);
  renameSync(`${store}.away`, store);
  t.deepEqual(feed.records(silent), readRecords(store, silent));
});

test('a node whose file is gone and who has another one has not left', (t) => {
  const { store, fileOf, feed } = setUp(t);
  renameSync(fileOf(2), join(store, 'by-another-name.json'));
  t.is(feed.news(), undefined);
  t.deepEqual(feed.records(silent), readRecords(store, silent));
});
