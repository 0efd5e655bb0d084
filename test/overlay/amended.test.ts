/** Changing an intent by single nodes gives the same intent as a look at all nodes, or none. */
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { amended } from '../../src/overlay/amended.ts';
import type { Intent } from '../../src/overlay/intent.ts';
import { fitting } from '../../src/overlay/membership.ts';
import { changesOf } from '../../src/overlay/reconcile.ts';
import type { Change, NodeRecord } from '../../src/overlay/record.ts';
import { pathsOf } from '../../src/paths.ts';
import { randomOf } from '../support/random.ts';

const SUBNET = Cidr.parse('10.96.0.0/16');
const OWN = node(0);

function node(number: number, address = `192.0.2.${number}`, prefix = `10.96.${number}.0/24`): NodeRecord {
  return { name: `node${number}`, address: Ip.parse(address), subnet: Cidr.parse(prefix), machine: '' };
}

function intentOf(peers: readonly NodeRecord[]): Intent {
  const network = { name: 'net', mode: 'l3', vni: 77, port: 4789, subnet: SUBNET } as const;
  return { network, own: OWN, peers, mtu: 1450 };
}

/** The peers that follow from a look at all nodes. */
function byLook(nodes: readonly NodeRecord[]): NodeRecord[] {
  const of = { network: 'net', subnet: SUBNET, nodePrefix: 24 };
  const around = { paths: pathsOf({}), warn: () => {} };
  const sorted = [...nodes, OWN].sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
  return fitting(sorted, OWN, of, around).filter(({ name }) => name !== OWN.name);
}

const say = (peers: readonly { readonly name: string; readonly address: Ip }[]) =>
  peers.map(({ name, address }) => `${name} ${address}`);

test('what is not plain takes a look at everything', (t) => {
  const intent = intentOf([node(1), node(2), node(9)]);
  const cases: Readonly<Record<string, readonly Change[]>> = {
    'this node itself': [{ put: { ...OWN, address: Ip.parse('192.0.2.99') } }],
    'this node is gone': [{ gone: OWN.name }],
    'several leave at once': [{ gone: 'node1' }, { gone: 'node2' }],
    'another prefix': [{ put: node(2, '192.0.2.2', '10.96.3.0/24') }],
    'a prefix that another has a part of': [{ put: node(4, '192.0.2.4', '10.96.8.0/23') }],
    'a prefix in that of another': [{ put: node(4, '192.0.2.4', '10.96.9.128/25') }],
    'the own prefix': [{ put: node(4, '192.0.2.4', '10.96.0.0/24') }],
    'no part of the network': [{ put: node(4, '192.0.2.4', '10.97.4.0/24') }],
    'more than the network': [{ put: node(4, '192.0.2.4', '10.0.0.0/8') }],
    'the address of this node': [{ put: node(4, `${OWN.address}`) }],
    'another family below': [{ put: node(4, '2001:db8::4') }],
    'another family inside': [{ put: node(4, '192.0.2.4', 'fd96::/64') }],
  };
  for (const [about, changes] of Object.entries(cases)) t.is(amended(intent, changes), undefined, about);
});

test('of many changes each leads to where a look at everything leads', (t) => {
  const random = randomOf(7);
  const below = (limit: number) => Math.floor(random() * limit);
  let nodes = [1, 5, 9, 200].map((number) => node(number));
  let intent = intentOf(byLook(nodes));
  for (let i = 0; i < 500; i++) {
    const count = 1 + below(3);
    const changes: Change[] = [];
    for (let each = 0; each < count; each++) {
      const number = 1 + below(250);
      const isGone = below(3) === 0 && !changes.some((change) => 'gone' in change);
      changes.push(isGone ? { gone: `node${number}` } : { put: node(number, `192.0.${2 + below(3)}.${number}`) });
    }
    for (const change of changes) {
      const name = 'put' in change ? change.put.name : change.gone;
      nodes = nodes.filter((other) => other.name !== name);
      if ('put' in change) nodes.push(change.put);
    }
    const next = amended(intent, changes);
    if (next === undefined) return t.fail(JSON.stringify(changes));
    const expected = changesOf(intent.peers, byLook(nodes));
    t.deepEqual(say(next.intent.peers), say(byLook(nodes)));
    // A node that is reported without a change may be on both sides.
    const [gone, come] = [say(next.gone), say(next.come)];
    t.deepEqual(gone.filter((each) => !come.includes(each)).sort(), say(expected.gone).sort());
    t.deepEqual(come.filter((each) => !gone.includes(each)).sort(), say(expected.come).sort());
    intent = next.intent;
  }
});
