import test from 'ava';
import * as v from 'valibot';
import {
  boolean,
  cidr,
  confSchema,
  ifname,
  integer,
  ip,
  looseObject,
  mac,
  object,
  parseConf,
  prevResultOf,
  readHeader,
  uint32,
} from '../../src/cni/config.ts';
import { NetloomError } from '../../src/error.ts';

const schema = confSchema(() => ({
  bridge: v.optional(v.string(), 'cni0'),
  mtu: v.optional(integer(0, 65535), 0),
  ipMasq: v.optional(boolean, false),
  vlan: v.exactOptional(uint32),
  gateway: v.exactOptional(ip),
  mac: v.exactOptional(mac),
  master: v.exactOptional(ifname),
  mode: v.optional(v.picklist(['bridge', 'private']), 'bridge'),
  ranges: v.optional(v.array(v.array(object({ subnet: cidr }))), []),
  labels: v.exactOptional(v.array(v.string())),
  runtimeConfig: v.optional(object({ mac: v.exactOptional(mac) }), {}),
}));

const BASE = { cniVersion: '1.1.0', name: 'net', type: 'bridge' };

const read = (conf: Record<string, unknown>) => schema.read(readHeader(JSON.stringify({ ...BASE, ...conf })));

/** The code word and the message of the error that an attempt ends with. */
function complaint(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    return error instanceof NetloomError ? `${error.code}: ${error.message}` : String(error);
  }
  return 'none';
}

test('defaults stand where a key is missing or null', (t) => {
  const { bridge, mtu, ipMasq, vlan, ranges } = read({ bridge: null, vlan: null });
  t.deepEqual(
    { bridge, mtu, ipMasq, vlan, ranges },
    {
      bridge: 'cni0',
      mtu: 0,
      ipMasq: false,
      vlan: undefined,
      ranges: [],
    },
  );
});

test('addresses, prefixes and MACs are read', (t) => {
  const conf = read({ gateway: '10.1.0.1', mac: '02-42-0A-01-00-02', ranges: [[{ subnet: '10.1.0.0/24' }]] });
  t.is(conf.gateway?.toString(), '10.1.0.1');
  t.is(String(conf.mac), '02:42:0a:01:00:02');
  t.is(conf.ranges[0]?.[0]?.subnet.toString(), '10.1.0.0/24');
});

test('a conflist is not taken for the configuration of a plugin', (t) => {
  const list = { cniVersion: '1.1.0', name: 'net', plugins: [{ type: 'bridge' }] };
  t.is(
    complaint(() => readHeader(JSON.stringify(list))),
    'invalid-config: failed to load netconf: it is a list of plugins, expected one of them',
  );
  t.is(readHeader(JSON.stringify({ ...list, type: 'bridge' })).name, 'net', 'a key that nobody knows passes');
});

test('an empty string is no address, no MAC and no interface', (t) => {
  const conf = read({ gateway: '', mac: '', master: '' });
  t.false('gateway' in conf);
  t.false('mac' in conf);
  t.false('master' in conf);
});

test('keys match without regard to case, at any depth', (t) => {
  const conf = read({
    BRIDGE: 'br1',
    RuntimeConfig: { MAC: '02:42:0a:01:00:02' },
    Ranges: [[{ Subnet: 'fd00::/64' }]],
  });
  t.is(conf.bridge, 'br1');
  t.is(String(conf.runtimeConfig.mac), '02:42:0a:01:00:02');
  t.is(conf.ranges[0]?.[0]?.subnet.toString(), 'fd00::/64');
});

test('a key in the exact case wins over others, wherever it stands', (t) => {
  t.is(read({ BRIDGE: 'no', bridge: 'yes' }).bridge, 'yes');
  t.is(read({ bridge: 'yes', Bridge: 'no' }).bridge, 'yes');
});

test('unknown keys pass', (t) => {
  t.is(read({ isGatewya: true, __proto__: 1, constructor: 2 }).bridge, 'cni0');
});

test('the keys of every plugin are there', (t) => {
  const conf = read({
    ipam: { type: 'host-local', Subnet: '10.0.0.0/24' },
    dns: { nameservers: ['10.0.0.1'] },
    prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.0.0.2/24' }] },
    logFile: '/tmp/x.log',
  });
  t.is(conf.name, 'net');
  t.is(conf.type, 'bridge');
  t.is(conf.cniVersion, '1.1.0');
  t.deepEqual(conf.ipam, { type: 'host-local', Subnet: '10.0.0.0/24' });
  t.deepEqual(conf.dns, { nameservers: ['10.0.0.1'] });
  t.is(prevResultOf(conf).ips?.[0]?.address.toString(), '10.0.0.2/24');
  t.is(conf.logFile, '/tmp/x.log');
});

test('an ipam without a type is no ipam', (t) => {
  t.false('ipam' in read({ ipam: {} }));
  t.false('ipam' in read({ ipam: { type: '' } }));
  t.is(read({ ipam: { TYPE: 'static' } }).ipam?.type, 'static');
});

test('a prevResult without a version is read in the version of the configuration', (t) => {
  const conf = read({ cniVersion: '0.2.0', prevResult: { ip4: { ip: '10.0.0.2/24' } } });
  t.is(conf.prevResult?.ips?.[0]?.address.toString(), '10.0.0.2/24');
});

test('attachments are read by both of their names, the newer first', (t) => {
  const one = [{ containerID: 'a', ifname: 'eth0' }];
  t.deepEqual(read({ 'cni.dev/valid-attachments': one }).validAttachments, one);
  t.deepEqual(read({ 'cni.dev/attachments': one }).validAttachments, one);
  t.deepEqual(read({ 'cni.dev/attachments': [], 'cni.dev/valid-attachments': one }).validAttachments, one);
});

test('null attachments are an empty list, missing ones are unknown', (t) => {
  t.deepEqual(read({ 'cni.dev/valid-attachments': null }).validAttachments, []);
  t.is(read({}).validAttachments, undefined);
});

const REFUSED: Record<string, [conf: Record<string, unknown>, complaint: string]> = {
  'a string for a number': [{ mtu: '1500' }, '"mtu" is "1500", expected a whole number from 0 to 65535'],
  'a fraction': [{ mtu: 1500.5 }, '"mtu" is 1500.5, expected a whole number from 0 to 65535'],
  'a number out of bounds': [{ mtu: 65536 }, '"mtu" is 65536, expected a whole number from 0 to 65535'],
  'more than 32 bits': [{ vlan: 2 ** 32 }, '"vlan" is 4294967296, expected a whole number from 0 to 4294967295'],
  'a string for a boolean': [{ ipMasq: 'true' }, '"ipMasq" is "true", expected true or false'],
  'a number for a boolean': [{ ipMasq: 1 }, '"ipMasq" is 1, expected true or false'],
  'a number for a string': [{ bridge: 5 }, '"bridge" is 5, expected a string'],
  'an object for a list': [{ labels: {} }, '"labels" is {}, expected a list'],
  'a list for an object': [{ runtimeConfig: [] }, '"runtimeConfig" is [], expected an object'],
  'a value outside of a choice': [{ mode: 'vepa' }, '"mode" is "vepa", expected "bridge" or "private"'],
  'a wrong item of a list': [{ labels: ['a', 1] }, '"labels[1]" is 1, expected a string'],
  'a bad address': [{ gateway: '10.1.0' }, '"gateway" is "10.1.0", expected an IP address such as "10.1.0.1"'],
  'a bad prefix, deep inside': [
    { ranges: [[{ subnet: '10.1.0.0/33' }]] },
    '"ranges[0][0].subnet" is "10.1.0.0/33", expected an address with a prefix such as "10.1.0.0/24"',
  ],
  'a missing key, deep inside': [{ ranges: [[{}]] }, '"ranges[0][0].subnet" is missing'],
  'a bad MAC': [
    { runtimeConfig: { mac: 'x' } },
    '"runtimeConfig.mac" is "x", expected a MAC address such as "02:42:0a:01:00:02"',
  ],
  'a bad interface': [
    { master: 'a/b' },
    '"master" is "a/b", expected the name of an interface: 1 to 15 bytes without "/", ":", "%" and white space, not "all" or "default"',
  ],
  'an ipam that is no object': [{ ipam: 'host-local' }, '"ipam" is "host-local", expected an object'],
  'an ipam type that is no string': [{ ipam: { type: 1 } }, '"ipam.type" is 1, expected a string'],
  'a bad prevResult': [
    { prevResult: { ips: [{ address: 'x' }] } },
    '"prevResult.ips[0].address" is "x", expected an address with a prefix such as "10.1.0.0/24"',
  ],
  'a bad attachment': [
    { 'cni.dev/attachments': [{ ifname: 'eth0' }] },
    '"cni.dev/attachments[0].containerID" is missing',
  ],
};

for (const [name, [conf, expected]] of Object.entries(REFUSED)) {
  test(`refused, with key, value and expectation: ${name}`, (t) => {
    t.is(
      complaint(() => read(conf)),
      `invalid-config: failed to load netconf: ${expected}`,
    );
  });
}

test('a long value is cut in the complaint', (t) => {
  const message = complaint(() => read({ mtu: 'x'.repeat(1000) }));
  t.true(message.length < 300);
});

test('a part of a configuration is checked under its own path', (t) => {
  t.is(
    complaint(() => parseConf(object({ subnet: cidr }), { subnet: 'x' }, 'ipam')),
    'invalid-config: failed to load netconf: "ipam.subnet" is "x", expected an address with a prefix such as "10.1.0.0/24"',
  );
  t.is(
    complaint(() => parseConf(object({}), 5, 'ipam')),
    'invalid-config: failed to load netconf: "ipam" is 5, expected an object',
  );
});

test('a loose object keeps what it does not know', (t) => {
  t.deepEqual(parseConf(looseObject({ a: v.number() }), { A: 1, B: null }, ''), { a: 1, B: null });
});

test('a plugin that needs a prevResult says that there is none', (t) => {
  t.is(
    complaint(() => prevResultOf(read({}))),
    'invalid-config: failed to load netconf: "prevResult" is missing',
  );
});

test('no configuration at all', (t) => {
  t.is(
    complaint(() => readHeader(' \n')),
    'invalid-json: error unmarshall network config: unexpected end of JSON input',
  );
});

for (const stdin of ['{', 'x', '{"name": "a",}', '[]', 'null', '5', '{"name": 5}', '{"name": "a", "cniVersion": 1}']) {
  test(`not the JSON of a configuration: ${stdin}`, (t) => {
    t.regex(
      complaint(() => readHeader(stdin)),
      /^invalid-json: error unmarshall network config: /,
    );
  });
}

test('a network needs a name', (t) => {
  for (const stdin of ['{}', '{"name": ""}', '{"name": null}']) {
    t.is(
      complaint(() => readHeader(stdin)),
      'invalid-name: missing network name',
    );
  }
});

for (const name of ['../x', 'a/b', '-a', '.a', 'a b', 'ä', 'a\n']) {
  test(`not the name of a network: ${JSON.stringify(name)}`, (t) => {
    t.is(
      complaint(() => readHeader(JSON.stringify({ name }))),
      `invalid-name: invalid characters found in network name: ${JSON.stringify(name)}`,
    );
  });
}

test('the name is checked before the version', (t) => {
  t.regex(
    complaint(() => readHeader('{"cniVersion": "9.9.9"}')),
    /^invalid-name/,
  );
});

test('a version that is not supported is refused with those that are', (t) => {
  const error = t.throws(() => readHeader('{"name": "a", "cniVersion": "1.2.0"}'), { instanceOf: NetloomError });
  t.is(error.code, 'incompatible-version');
  t.is(error.message, 'incompatible CNI versions');
  t.is(error.details, 'config is "1.2.0", plugin supports ["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]');
});

test('a missing version is 0.1.0', (t) => {
  t.is(readHeader('{"name": "a"}').cniVersion, '0.1.0');
  t.is(readHeader('{"name": "a", "cniVersion": ""}').cniVersion, '0.1.0');
  t.is(readHeader('{"Name": "a", "CNIVersion": "0.4.0"}').cniVersion, '0.4.0');
});
