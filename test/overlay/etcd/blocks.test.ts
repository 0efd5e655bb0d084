/** How often a node asks etcd for a block that nobody has asked for. Each time it reads all that etcd has. */
import { mkdirSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { Cidr } from '../../../src/net/cidr.ts';
import { Blocks } from '../../../src/overlay/etcd/blocks.ts';
import { Nodes } from '../../../src/overlay/etcd/nodes.ts';
import { allTaken } from '../../../src/overlay/prefixes.ts';
import { isOpen, wish } from '../../../src/overlay/wishes.ts';
import { pathsOf } from '../../../src/paths.ts';
import { makeRoot } from '../../support/host.ts';
import { until } from '../../support/until.ts';

const OF = {
  network: 'net',
  subnet: Cidr.parse('10.96.0.0/27'),
  nodePrefix: 29,
  etcd: { endpoints: [], prefix: '/netloom' },
  hasBlocks: true,
};

/** Counts the checks for full blocks of a node. */
class WatchedNodes extends Nodes {
  looks = 0;

  override prefixesOf(name: string): Cidr[] {
    this.looks++;
    return super.prefixesOf(name);
  }

  hold(prefix: string, node: string): void {
    this.put({ key: `/prefixes/${prefix.replace('/', '_')}`, value: node, revision: 1, lease: '0' });
  }
}

/** A node whose only block is full. @param claim etcd's answer to the n-th claim, from 1 on */
function setUp(t: ExecutionContext, claim: (n: number) => Cidr) {
  const { path: root, remove } = makeRoot();
  const paths = pathsOf({ NETLOOM_ROOT: root });
  mkdirSync(`${paths.leases}/net`, { recursive: true });
  for (let i = 2; i < 7; i++) writeFileSync(`${paths.leases}/net/10.96.0.${i}`, '');
  const nodes = new WatchedNodes('/');
  nodes.hold('10.96.0.0/29', 'own');
  nodes.hold('10.96.0.8/29', 'other');
  const claims = { count: 0 };
  const registry = { claim: async () => claim(++claims.count) };
  const end = new AbortController();
  const ended = new Blocks(OF, paths, registry).grant('own', { nodes }, () => {}, end.signal).catch(() => {});
  t.teardown(async () => {
    end.abort();
    await ended;
    remove();
  });
  const looks = async (count: number) => {
    const goal = nodes.looks + count;
    await until(`it has looked ${count} times`, () => nodes.looks >= goal);
  };
  return { paths, nodes, claims, looks };
}

test('where no block is left it is asked once, and again when somebody wishes or a block has come back', async (t) => {
  const { paths, nodes, claims, looks } = setUp(t, () => {
    throw allTaken(OF.subnet, OF.nodePrefix);
  });
  await until('it is asked', () => claims.count === 1);
  await looks(5);
  t.is(claims.count, 1);
  wish(paths, 'net', 'any');
  await until('the wish is answered', () => !isOpen(paths, 'net', 'any'));
  await looks(3);
  t.is(claims.count, 2);
  nodes.delete('/prefixes/10.96.0.8_29');
  await until('it is asked again', () => claims.count === 3);
  await looks(3);
  t.is(claims.count, 3);
});

test('while the watch has not told of a block that was given no other is taken', async (t) => {
  const { paths, nodes, claims } = setUp(t, (n) => Cidr.parse(`10.96.0.${8 + n * 8}/29`));
  await until('it is asked', () => claims.count === 1);
  wish(paths, 'net', 'any');
  await until('the wish is answered', () => !isOpen(paths, 'net', 'any'));
  t.is(claims.count, 1);
  // The watch reports the new block, which is full, too.
  for (let i = 18; i < 24; i++) writeFileSync(`${paths.leases}/net/10.96.0.${i}`, '');
  nodes.hold('10.96.0.16/29', 'own');
  await until('another is taken', () => claims.count === 2);
  t.is(claims.count, 2);
});
