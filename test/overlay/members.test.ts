/**
 * The members of an overlay in a directory: what a node works with while the directory is missing, or when it goes at
 * the worst moment.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { join, stampOf } from '../../src/overlay/file-store.ts';
import { membersOf } from '../../src/overlay/members.ts';
import { remembered } from '../../src/overlay/memory.ts';
import { pathsOf } from '../../src/paths.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, makeRoot } from '../support/host.ts';

becomeHost();

const SUBNET = Cidr.parse('10.96.0.0/16');
const OTHERS = 10;

/** A node in an overlay with ten others. */
function setUp(t: ExecutionContext) {
  const { path: root, remove } = makeRoot();
  t.teardown(remove);
  const store = joinPath(root, 'store');
  mkdirSync(store);
  for (let i = 0; i < OTHERS; i++) {
    join(store, SUBNET, 24, { name: `n${i}`, address: Ip.parse(`192.0.2.${i + 1}`), machine: `n${i}` });
  }
  const paths = pathsOf({ NETLOOM_ROOT: root });
  const of = { network: 'net', subnet: SUBNET, nodePrefix: 24, node: 'own', underlay: Cidr.parse('127.0.0.0/8') };
  const members = (warn: (message: string) => void = () => {}) => {
    using nl = openRoute();
    return membersOf(nl, { ...of, path: store }, { paths, warn }, true).nodes.map(({ name }) => name);
  };
  const known = () => remembered(paths, 'net').map(({ name }) => name);
  const all = members();
  t.is(all.length, OTHERS + 1);
  t.deepEqual(known(), all);
  const goAway = () => {
    if (existsSync(store)) renameSync(store, `${store}.away`);
  };
  return { store, members, known, all, goAway };
}

test.serial('the directory goes away when the node has just said that it has moved: nobody is forgotten', (t) => {
  const { store, members, known, all, goAway } = setUp(t);
  // Give its record another address, so that it is written again.
  const file = readdirSync(store).find((name) => readFileSync(joinPath(store, name), 'utf8').includes('"own"')) ?? '';
  const text = readFileSync(joinPath(store, file), 'utf8');
  writeFileSync(joinPath(store, file), text.replace('127.0.0.1', '127.0.0.9'));
  // Two unreadable files: each look reports both.
  for (const name of ['a', 'b']) writeFileSync(joinPath(store, `${name}.json`), '{"name": ');
  let said = 0;
  const now = members((message) => {
    if (message.includes('passed over') && ++said === 3) goAway();
  });
  t.false(existsSync(store));
  t.deepEqual([now, known()], [all, all]);
  t.true(readFileSync(joinPath(`${store}.away`, file), 'utf8').includes('127.0.0.1'));
});

test.serial('a directory that is missing, empty or does not answer is away, and said to be', (t) => {
  const { store, members, known, all, goAway } = setUp(t);
  const says = () => {
    const said: string[] = [];
    t.deepEqual(
      members((message) => said.push(message)),
      all,
    );
    t.deepEqual(known(), all);
    return said.join().replace(store, 'STORE');
  };
  goAway();
  t.is(says(), `The overlay's store "STORE" is not there: going on with the 11 nodes known last`);
  mkdirSync(store);
  t.is(says(), `The overlay's store "STORE" is empty: going on with the 11 nodes known last`);
  renameSync(store, `${store}.empty`);
  symlinkSync(store, store); // any error other than that it is missing
  t.regex(says(), /^The overlay's store "STORE" cannot be read: .*ELOOP.*: going on with the 11 nodes known last$/);
  t.is(stampOf(store), '');
});
