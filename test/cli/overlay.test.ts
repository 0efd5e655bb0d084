/**
 * `netloom overlay`: lists the nodes, reports the state of this machine, and reclaims the prefix of a node that is
 * gone.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { Lab } from '../support/lab.ts';

becomeHost();
execFileSync('sh', [
  '-ec',
  'ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up; ip addr add 192.168.62.2/24 dev up0',
]);

test.serial('peers and status are told as columns and as JSON, and reclaim takes a node away', (t) => {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  const nodes = join(lab.root, 'nodes');
  const conf = join(lab.root, 'etc/cni/net.d');
  for (const directory of [nodes, conf]) mkdirSync(directory, { recursive: true });
  const overlay = {
    type: 'overlay',
    subnet: '10.62.0.0/16',
    nodePrefix: 24,
    node: 'here',
    underlay: '192.168.62.0/24',
    store: { type: 'file', path: nodes },
  };
  const list = { cniVersion: '1.0.0', name: 'far', plugins: [overlay] };
  writeFileSync(join(conf, 'far.conflist'), JSON.stringify(list));
  const early = netloom.try('sandbox', 'create', '--name', 'web', '--network', 'far');
  t.regex(early.stderr, /store ".*\/nodes" is empty: nobody has joined there.*netloom overlay create far/s);
  t.is(netloom.run('overlay', 'create', 'far'), `${nodes} is now the store of far\n`);
  t.is(netloom.run('overlay', 'create', 'far'), `${nodes} was already the store of far\n`);
  netloom.run('sandbox', 'create', '--name', 'web', '--network', 'far');
  t.teardown(() => netloom.try('sandbox', 'rm', 'web'));
  const there = { name: 'there', address: '192.168.62.3', subnet: '10.62.200.0/24', machine: 'another' };
  writeFileSync(join(nodes, '10.62.200.0_24.json'), JSON.stringify(there));
  const peers = netloom.json<{ node: string; isThis: boolean }[]>('overlay', 'peers');
  t.deepEqual(
    peers.map(({ node, isThis }) => [node, isThis]),
    [
      ['here', true],
      ['there', false],
    ],
  );
  t.regex(netloom.run('overlay', 'peers'), /^NETWORK +NODE .*\nfar +here +192\.168\.62\.2 .*this machine\nfar +there/);
  t.like(netloom.json('overlay', 'status'), { 0: { network: 'far', node: 'here', peers: 1 } });
  t.regex(netloom.run('overlay', 'status'), /^NETWORK +MODE .*\nfar +l3 /);
  const soon = netloom.try('overlay', 'reclaim', 'far', 'there');
  t.is(soon.status, 1, 'it has just been seen');
  netloom.run('overlay', 'reclaim', 'far', 'there', '--grace', '0');
  t.deepEqual(
    readdirSync(nodes).filter((name) => name.startsWith('10.62.200.')),
    [],
  );
});
