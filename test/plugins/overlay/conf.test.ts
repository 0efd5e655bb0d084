/**
 * What the overlay plugin refuses. Each message names the key, its value and what was expected, and nothing has been
 * changed.
 */
import test from 'ava';
import { becomeHost } from '../../support/host.ts';
import { type Json, Lab } from '../../support/lab.ts';

becomeHost();

const NODE = { name: 'a', address: '192.0.2.1', subnet: '10.96.1.0/24' };
const OTHER = { name: 'b', address: '192.0.2.2', subnet: '10.96.2.0/24' };
const nodes = (...list: readonly Json[]) => ({ store: { type: 'static', nodes: list } });

const etcd = (more: Json) => ({ store: { type: 'etcd', endpoints: ['https://192.0.2.1:2379'], ...more } });

const CASES: readonly (readonly [more: Json, says: string])[] = [
  [{ mode: 'l4' }, '"mode" is "l4", expected l3, l2, direct'],
  [{ wiring: 'ptp' }, '"wiring" is "ptp", expected bridge, routed'],
  [{ wiring: 'routed', mode: 'l2' }, '"wiring" is "routed", expected bridge, since "mode" is "l2"'],
  [{ wiring: 'routed', internal: true }, '"wiring" is "routed", expected bridge, since the network is "internal"'],
  [{ vni: 0 }, '"vni" is 0, expected a whole number from 1 to 16777215'],
  [{ vni: 16777216 }, '"vni" is 16777216, expected a whole number from 1 to 16777215'],
  [{ port: 0 }, '"port" is 0, expected a whole number from 1 to 65535'],
  [{ subnet: undefined }, '"subnet" is missing'],
  [{ subnet: '10.96.0.1/16' }, '"subnet" is "10.96.0.1/16", expected the prefix itself, 10.96.0.0/16'],
  [{ store: { type: 'consul' } }, '"store.type" is "consul", expected static, file, etcd'],
  [etcd({ endpoints: [] }), '"store.endpoints" is "[]", expected at least one such as "https://192.0.2.1:2379"'],
  [
    etcd({ endpoints: ['http://192.0.2.1:2379', '192.0.2.2:2379'] }),
    '"store.endpoints[1]" is "192.0.2.2:2379", expected a URL such as "https://192.0.2.1:2379" or "http://etcd.example:2379"',
  ],
  [
    etcd({ endpoints: ['https://192.0.2.1:2379/v3'] }),
    '"store.endpoints[0]" is "https://192.0.2.1:2379/v3", expected a URL such as "https://192.0.2.1:2379" or "http://etcd.example:2379"',
  ],
  [etcd({ ca: 'ca.pem' }), '"store.ca" is "ca.pem", expected the path of a file in PEM, from "/" on'],
  [
    etcd({ endpoints: ['http://192.0.2.1:2379'], ca: '/ca.pem' }),
    '"store.ca" is "/ca.pem", expected an endpoint of "https" to go with it',
  ],
  [etcd({ cert: '/cert.pem' }), '"store.key" is missing, expected it beside "store.cert"'],
  [etcd({ user: 'netloom' }), '"store.passwordFile" is missing, expected it beside "store.user"'],
  [
    etcd({ user: 'netloom', password: 'secret' }),
    '"store.password" is there, expected "store.passwordFile": everybody may read a conflist',
  ],
  [
    etcd({ prefix: 'netloom/' }),
    '"store.prefix" is "netloom/", expected what keys begin with, such as "/netloom", without "/" at its end',
  ],
  [
    { ...etcd({}), nodePrefix: 8 },
    '"nodePrefix" is "8", expected a whole number from 16 to 30, since "subnet" is 10.96.0.0/16',
  ],
  [
    { store: { type: 'file', path: 'nodes' } },
    '"store.path" is "nodes", expected the path of a directory, from "/" on',
  ],
  [
    { store: { type: 'file', path: '/nodes' }, nodePrefix: 31 },
    '"nodePrefix" is "31", expected a whole number from 16 to 30, since "subnet" is 10.96.0.0/16',
  ],
  [nodes(), '"store.nodes" is "[]", expected at least this machine'],
  [nodes(NODE, { ...OTHER, name: 'a' }), '"store.nodes[1].name" is "a", expected another than that of store.nodes[0]'],
  [
    nodes(NODE, { ...OTHER, address: '192.0.2.1' }),
    '"store.nodes[1].address" is "192.0.2.1", expected another than that of store.nodes[0]',
  ],
  [
    nodes(NODE, { ...OTHER, address: '2001:db8::2' }),
    '"store.nodes[1].address" is "2001:db8::2", expected one of IPv4, as of the first node',
  ],
  [
    nodes({ ...NODE, address: '10.96.0.5' }),
    '"store.nodes[0].address" is "10.96.0.5", expected one outside of the overlay\'s 10.96.0.0/16',
  ],
  [
    nodes({ ...NODE, address: '239.1.1.1' }),
    '"store.nodes[0].address" is "239.1.1.1", expected the address of one machine',
  ],
  [
    nodes({ ...NODE, subnet: '10.97.1.0/24' }),
    '"store.nodes[0].subnet" is "10.97.1.0/24", expected a part of "subnet", 10.96.0.0/16',
  ],
  [
    nodes({ ...NODE, subnet: '10.0.0.0/8' }),
    '"store.nodes[0].subnet" is "10.0.0.0/8", expected a part of "subnet", 10.96.0.0/16',
  ],
  [nodes({ ...NODE, subnet: '10.96.1.0/31' }), '"store.nodes[0].subnet" is "10.96.1.0/31", expected at most /30'],
  [
    nodes({ ...NODE, subnet: '10.96.1.7/24' }),
    '"store.nodes[0].subnet" is "10.96.1.7/24", expected the prefix itself, 10.96.1.0/24',
  ],
  [
    nodes(OTHER, NODE, { name: 'c', address: '192.0.2.3', subnet: '10.96.2.128/25' }),
    '"store.nodes[2].subnet" is "10.96.2.128/25", expected no address of 10.96.2.0/24, which "b" has',
  ],
  [{ nodePrefix: 25 }, '"store.nodes[0].subnet" is "10.96.1.0/24", expected a /25, as "nodePrefix" says'],
  [
    { mode: 'direct', ...nodes({ ...NODE, address: '2001:db8::1' }) },
    '"store.nodes[0].address" is "2001:db8::1", expected one of IPv4, as "subnet" in the mode "direct"',
  ],
  [{ ipam: { type: 'static' } }, '"ipam.type" is "static", expected host-local'],
  [
    { ipam: { type: 'host-local', ranges: [] } },
    '"ipam.ranges" is there, expected none: addresses come from the prefix of the node',
  ],
];

for (const [more, says] of CASES) {
  test.serial(`refused: ${says}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const before = lab.snapshot();
    const conf = { cniVersion: '1.1.0', name: 'net', type: 'overlay', subnet: '10.96.0.0/16', ...nodes(NODE), ...more };
    const { output } = lab.exec('ADD', conf, { sandbox });
    t.is(output.code, 7);
    t.is(output.msg, `failed to load netconf: ${says}`);
    t.is(lab.snapshot(), before);
  });
}
