/** The file of known nodes: all of them, and changes appended to them. */
import { appendFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { amend, memoryOf, remember, remembered } from '../../src/overlay/memory.ts';
import { MemoryFeed } from '../../src/overlay/memory-feed.ts';
import type { NodeRecord } from '../../src/overlay/record.ts';
import { pathsOf } from '../../src/paths.ts';
import { makeRoot } from '../support/host.ts';

function node(number: number, address = `192.0.2.${number}`): NodeRecord {
  const subnet = Cidr.parse(`10.96.${number}.0/24`);
  return { name: `node${number}`, address: Ip.parse(address), subnet, machine: `machine${number}` };
}

function setUp(t: ExecutionContext) {
  const root = makeRoot();
  t.teardown(() => root.remove());
  const paths = pathsOf({ NETLOOM_ROOT: root.path });
  remember(paths, 'net', [node(1), node(2), node(3)]);
  return { paths, file: memoryOf(paths, 'net') };
}

/** For comparing as text: an address caches its text once it was asked for. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

test('changes are added to what is there, and known by whoever reads it', (t) => {
  const { paths, file } = setUp(t);
  const before = readFileSync(file, 'utf8');
  t.true(amend(paths, 'net', [{ put: node(2, '192.0.2.22') }, { put: node(0) }]));
  t.true(amend(paths, 'net', [{ gone: 'node3' }]));
  t.true(readFileSync(file, 'utf8').startsWith(before));
  t.deepEqual(plain(remembered(paths, 'net')), plain([node(0), node(1), node(2, '192.0.2.22')]));
  remember(paths, 'net', remembered(paths, 'net'));
  t.is(readFileSync(file, 'utf8').split('\n').length, 2, 'written anew it is one line');
  t.is(remembered(paths, 'net').length, 3);
});

test('where nothing is written down nothing can be added', (t) => {
  const { paths, file } = setUp(t);
  rmSync(file);
  t.false(amend(paths, 'net', [{ gone: 'node1' }]));
  t.deepEqual(remembered(paths, 'net'), []);
});

test('a line that was half written when the power failed is as if it were not there', (t) => {
  const { paths, file } = setUp(t);
  amend(paths, 'net', [{ gone: 'node3' }]);
  appendFileSync(file, '{"gone":"no');
  t.deepEqual(
    remembered(paths, 'net').map(({ name }) => name),
    ['node1', 'node2'],
  );
});

test('whoever has read it is told what was added since', (t) => {
  const { paths, file } = setUp(t);
  using feed = new MemoryFeed(paths, 'net');
  t.deepEqual(plain(feed.records()), plain(remembered(paths, 'net')));
  t.deepEqual(feed.news(), []);
  amend(paths, 'net', [{ put: node(4) }]);
  amend(paths, 'net', [{ gone: 'node1' }]);
  t.deepEqual(plain(feed.news()), plain([{ put: node(4) }, { gone: 'node1' }]));
  t.deepEqual(feed.news(), []);
  // Half a line is read once it is complete.
  const line = `${JSON.stringify({ gone: 'node2' })}\n`;
  appendFileSync(file, line.slice(0, 8));
  t.deepEqual(feed.news(), []);
  appendFileSync(file, line.slice(8));
  t.deepEqual(feed.news(), [{ gone: 'node2' }]);
});

test('what was written anew, taken away or damaged is to be read from the beginning', (t) => {
  const { paths, file } = setUp(t);
  using feed = new MemoryFeed(paths, 'net');
  feed.records();
  remember(paths, 'net', [node(1)]);
  t.is(feed.news(), undefined);
  t.is(feed.records()?.length, 1);
  appendFileSync(file, 'no change\n');
  t.is(feed.news(), undefined);
  feed.records();
  writeFileSync(file, '[]\n');
  t.is(feed.news(), undefined, `${statSync(file).size} bytes`);
  feed.records();
  rmSync(file);
  t.is(feed.news(), undefined);
  t.is(feed.records(), undefined);
  t.deepEqual(feed.news(), [], 'it is not there, as before');
});
