/**
 * What a node knows of etcd's keys: which node has which prefix, which prefix lengths there are, and how fast it
 * answers.
 */
import test from 'ava';
import { Cidr } from '../../../src/net/cidr.ts';
import { Nodes } from '../../../src/overlay/etcd/nodes.ts';
import { candidates } from '../../../src/overlay/prefixes.ts';

const BASE = '/netloom/net/';

function holdings(entries: Iterable<readonly [prefix: string, node: string]>): Nodes {
  const nodes = new Nodes(BASE);
  for (const [prefix, value] of entries) {
    nodes.put({ key: `${BASE}prefixes/${prefix.replace('/', '_')}`, value, revision: 1, lease: '0' });
  }
  return nodes;
}

test('who has a prefix, or a part of it', (t) => {
  const nodes = holdings([
    ['10.96.3.0/24', 'a'],
    ['10.97.0.0/16', 'b'],
    ['fd00:0:0:3::/64', 'c'],
    ['10.96.9.9/24', 'with host bits: nobody has it'],
  ]);
  const holder = (prefix: string) => nodes.holderOf(Cidr.parse(prefix));
  t.is(holder('10.96.3.0/24'), 'a');
  t.is(holder('10.96.3.128/25'), 'a');
  t.is(holder('10.96.0.0/16'), 'a');
  t.is(holder('10.97.3.0/24'), 'b');
  t.is(holder('fd00:0:0:3::/64'), 'c');
  for (const free of ['10.96.4.0/24', '10.96.9.0/24', '10.98.0.0/16', 'fd00:0:0:4::/64']) t.is(holder(free), undefined);
  t.deepEqual([`${nodes.prefixesOf('a')}`, nodes.taken], ['10.96.3.0/24', 3]);
  nodes.delete(`${BASE}prefixes/10.96.3.0_24`);
  t.is(holder('10.96.3.0/24'), undefined);
});

test('of which nodes others see something else, and what has become of each', (t) => {
  const nodes = new Nodes(BASE);
  let revision = 0;
  const put = (key: string, value: string) =>
    nodes.apply({ put: { key: BASE + key, value, revision: ++revision, lease: '0' } });
  const record = { name: 'a', address: '192.0.2.1', subnet: '10.96.3.0/24', machine: 'm' };
  t.deepEqual(put('nodes/a', JSON.stringify(record)), ['a']);
  t.deepEqual(put('prefixes/10.96.3.0_24', 'a'), ['a']);
  const change = () => JSON.parse(JSON.stringify(nodes.changeOf('a')));
  t.deepEqual(change(), { put: record });
  t.deepEqual(put('prefixes/10.96.7.0_24', 'a'), ['a']);
  t.deepEqual(change(), { put: { ...record, blocks: ['10.96.7.0/24'] } });
  t.deepEqual(put('prefixes/10.96.7.0_24', 'b'), ['a', 'b'], 'both see it');
  t.deepEqual(change(), { put: record });
  t.deepEqual(put('alive/a', '77'), [], 'status only');
  t.deepEqual(put('settings', '{"nodePrefix":24}'), []);
  put('nodes/a', 'damaged');
  t.is(nodes.changeOf('a'), undefined);
  t.deepEqual(nodes.apply({ deleted: `${BASE}nodes/a` }), ['a']);
  t.deepEqual(nodes.changeOf('a'), { gone: 'a' });
  t.deepEqual(nodes.apply({ deleted: `${BASE}prefixes/10.96.3.0_24` }), ['a']);
});

test('what is known already and told once more is no change', (t) => {
  const nodes = new Nodes(BASE);
  const value = JSON.stringify({ name: 'a', address: '192.0.2.1', subnet: '10.96.3.0/24' });
  const of = (revision: number) => ({ put: { key: `${BASE}nodes/a`, value, revision, lease: '0' } });
  nodes.put(of(7).put);
  t.deepEqual(nodes.apply(of(7)), []);
  t.deepEqual(nodes.apply(of(8)), ['a']);
});

test('one prefix is free behind 16,000 that are taken: looked up, not compared', (t) => {
  const all = [...candidates(Cidr.parse('10.0.0.0/10'), 24, { name: 'own', former: undefined })];
  const last = all.pop();
  const nodes = holdings(all.map((prefix) => [`${prefix}`, 'other'] as const));
  let compared = 0;
  const { overlaps } = Cidr.prototype;
  Cidr.prototype.overlaps = function (this: Cidr, other) {
    compared++;
    return overlaps.call(this, other);
  };
  try {
    t.is(
      [...all, last].find((prefix) => prefix !== undefined && nodes.holderOf(prefix) === undefined),
      last,
    );
  } finally {
    Cidr.prototype.overlaps = overlaps;
  }
  t.is(compared, 0);
});
