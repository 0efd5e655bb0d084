/** Results in the shape of each version. Golden objects follow the examples in that version of the specification. */
import test from 'ava';
import fc from 'fast-check';
import type { CniResult } from '../../src/cni/result.ts';
import { decodeResult, encodeResult, isAtLeast, SUPPORTED_VERSIONS } from '../../src/cni/versions.ts';
import { NetloomError } from '../../src/error.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';

const RESULT: CniResult = {
  interfaces: [
    { name: 'cni0', mac: '00:11:22:33:44:55', mtu: 1500 },
    {
      name: 'eth0',
      mac: '99:88:77:66:55:44',
      sandbox: '/run/netns/blue',
      socketPath: '/run/s.sock',
      pciID: '8086:9a01',
    },
  ],
  ips: [
    { address: Cidr.parse('10.1.0.5/16'), gateway: Ip.parse('10.1.0.1'), interface: 1 },
    { address: Cidr.parse('10.1.0.6/16'), interface: 1 },
    { address: Cidr.parse('fd00::5/64'), gateway: Ip.parse('fd00::1'), interface: 1 },
  ],
  routes: [
    { dst: Cidr.parse('0.0.0.0/0') },
    {
      dst: Cidr.parse('10.2.0.0/16'),
      gw: Ip.parse('10.1.0.2'),
      mtu: 1400,
      advmss: 1360,
      priority: 5,
      table: 0,
      scope: 0,
    },
    { dst: Cidr.parse('::/0'), gw: Ip.parse('fd00::1') },
  ],
  dns: { nameservers: ['10.1.0.1'], domain: 'local', search: ['a.local'], options: ['ndots:2'] },
};

const DNS = { nameservers: ['10.1.0.1'], domain: 'local', search: ['a.local'], options: ['ndots:2'] };

const GOLDEN_02 = (cniVersion: string) => ({
  cniVersion,
  ip4: {
    ip: '10.1.0.5/16',
    gateway: '10.1.0.1',
    routes: [{ dst: '0.0.0.0/0' }, { dst: '10.2.0.0/16', gw: '10.1.0.2' }],
  },
  ip6: { ip: 'fd00::5/64', gateway: 'fd00::1', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
  dns: DNS,
});

const ROUTES = [
  { dst: '0.0.0.0/0' },
  { dst: '10.2.0.0/16', gw: '10.1.0.2', mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 0 },
  { dst: '::/0', gw: 'fd00::1' },
];

const GOLDEN_03 = (cniVersion: string) => ({
  cniVersion,
  interfaces: [
    { name: 'cni0', mac: '00:11:22:33:44:55' },
    { name: 'eth0', mac: '99:88:77:66:55:44', sandbox: '/run/netns/blue' },
  ],
  ips: [
    { version: '4', interface: 1, address: '10.1.0.5/16', gateway: '10.1.0.1' },
    { version: '4', interface: 1, address: '10.1.0.6/16' },
    { version: '6', interface: 1, address: 'fd00::5/64', gateway: 'fd00::1' },
  ],
  routes: ROUTES,
  dns: DNS,
});

const GOLDEN_1 = (cniVersion: string) => ({
  cniVersion,
  interfaces: [
    { name: 'cni0', mac: '00:11:22:33:44:55', mtu: 1500 },
    {
      name: 'eth0',
      mac: '99:88:77:66:55:44',
      sandbox: '/run/netns/blue',
      socketPath: '/run/s.sock',
      pciID: '8086:9a01',
    },
  ],
  ips: [
    { interface: 1, address: '10.1.0.5/16', gateway: '10.1.0.1' },
    { interface: 1, address: '10.1.0.6/16' },
    { interface: 1, address: 'fd00::5/64', gateway: 'fd00::1' },
  ],
  routes: ROUTES,
  dns: DNS,
});

const GOLDEN: Readonly<Record<string, (version: string) => unknown>> = {
  '0.1.0': GOLDEN_02,
  '0.2.0': GOLDEN_02,
  '0.3.0': GOLDEN_03,
  '0.3.1': GOLDEN_03,
  '0.4.0': GOLDEN_03,
  '1.0.0': GOLDEN_1,
  '1.1.0': GOLDEN_1,
};

/** The value as a reader of its JSON sees it. */
const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('there is a golden result for every supported version', (t) => {
  t.deepEqual(Object.keys(GOLDEN), [...SUPPORTED_VERSIONS]);
});

for (const version of SUPPORTED_VERSIONS) {
  const golden = GOLDEN[version]?.(version);

  test(`a result is written as version ${version} has it`, (t) => {
    t.deepEqual(json(encodeResult(RESULT, version)), golden);
  });

  test(`a result of version ${version} survives being read and written again`, (t) => {
    t.deepEqual(json(encodeResult(decodeResult(golden, version), version)), golden);
  });
}

test('a result of version 0.2.0 becomes one of 1.1.0 with the addresses of both families', (t) => {
  t.deepEqual(json(encodeResult(decodeResult(GOLDEN_02('0.2.0'), '0.2.0'), '1.1.0')), {
    cniVersion: '1.1.0',
    ips: [
      { address: '10.1.0.5/16', gateway: '10.1.0.1' },
      { address: 'fd00::5/64', gateway: 'fd00::1' },
    ],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '10.2.0.0/16', gw: '10.1.0.2' }, { dst: '::/0', gw: 'fd00::1' }],
    dns: DNS,
  });
});

for (const version of ['0.1.0', '0.2.0']) {
  test(`version ${version} has no room for a result without an address`, (t) => {
    const error = t.throws(() => encodeResult({ interfaces: [{ name: 'eth0' }] }, version), {
      instanceOf: NetloomError,
    });
    t.is(error.message, 'cannot convert: no valid IP addresses');
  });
}

test('an empty result is an object with nothing but its version', (t) => {
  t.deepEqual(encodeResult({ interfaces: [], ips: [], routes: [], dns: {} }, '1.0.0'), { cniVersion: '1.0.0' });
});

test('empty strings and zeros in a result are left out, but not table 0 and scope 0', (t) => {
  const result: CniResult = {
    interfaces: [{ name: 'eth0', mac: '', sandbox: '', mtu: 0 }],
    routes: [{ dst: Cidr.parse('0.0.0.0/0'), mtu: 0, table: 0, scope: 0 }],
  };
  t.deepEqual(encodeResult(result, '1.1.0'), {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0' }],
    routes: [{ dst: '0.0.0.0/0', table: 0, scope: 0 }],
  });
});

test("a result's own version counts before the configuration's", (t) => {
  const result = decodeResult({ cniVersion: '0.2.0', ip4: { ip: '10.0.0.2/24' } }, '1.0.0');
  t.is(result.ips?.[0]?.address.toString(), '10.0.0.2/24');
});

test('a result without a version is read as of the version of the configuration', (t) => {
  t.is(decodeResult({ ips: [{ address: '10.0.0.2/24' }] }, '1.0.0').ips?.length, 1);
  t.is(decodeResult({ ip6: { ip: 'fd00::2/64' } }, '0.1.0').ips?.length, 1);
});

test('a result is read with null, empty strings and keys in any case, as Go writes and reads them', (t) => {
  const result = decodeResult(
    { Interfaces: [{ NAME: 'eth0', mac: '', sandbox: null }], ips: null, routes: [{ Dst: '::/0', gw: '' }], dns: {} },
    '1.0.0',
  );
  t.deepEqual(result.interfaces, [{ name: 'eth0' }]);
  t.is(result.ips, undefined);
  t.deepEqual(Object.keys(result.routes?.[0] ?? {}), ['dst']);
});

test('a damaged result is refused with the place and the value', (t) => {
  const error = t.throws(() => decodeResult({ ips: [{ address: '10.0.0.2' }] }, '1.0.0'), { instanceOf: NetloomError });
  t.is(error.code, 'invalid-result');
  t.is(
    error.message,
    'Cannot read the result: "ips[0].address" is "10.0.0.2", expected an address with a prefix such as "10.1.0.0/24"',
  );
});

test('a result of a version that is not supported is refused', (t) => {
  const error = t.throws(() => decodeResult({ cniVersion: '2.0.0' }, '1.0.0'), { instanceOf: NetloomError });
  t.is(error.code, 'incompatible-version');
});

test('versions are in order', (t) => {
  t.true(isAtLeast('1.0.0', '0.4.0'));
  t.true(isAtLeast('0.4.0', '0.4.0'));
  t.false(isAtLeast('0.3.1', '0.4.0'));
});

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ip4 = bytes(4).map((value) => Ip.of(value));
// Not an IPv4-mapped address, which is read as IPv4.
const ip6 = bytes(16).map((value) => Ip.of(value.with(0, 0xfd)));
const ip = fc.oneof(ip4, ip6);
const cidr = ip.chain((address) =>
  fc.integer({ min: 0, max: address.family === 4 ? 32 : 128 }).map((length) => new Cidr(address, length)),
);
const word = fc.stringMatching(/^[a-z0-9.:/-]{1,20}$/);
const positive = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 4 });
const OPTIONAL = { requiredKeys: [] as [] };

const result = fc.record(
  {
    interfaces: some(
      fc.record(
        { name: word, mac: word, mtu: positive, sandbox: word, socketPath: word, pciID: word },
        { requiredKeys: ['name'] },
      ),
    ),
    ips: some(fc.record({ address: cidr, gateway: ip, interface: fc.nat() }, { requiredKeys: ['address'] })),
    routes: some(
      fc.record(
        { dst: cidr, gw: ip, mtu: positive, advmss: positive, priority: positive, table: fc.nat(), scope: fc.nat(255) },
        { requiredKeys: ['dst'] },
      ),
    ),
    dns: fc
      .record({ nameservers: some(word), domain: word, search: some(word), options: some(word) }, OPTIONAL)
      .filter((dns) => Object.keys(dns).length > 0),
  },
  OPTIONAL,
);

test('any result survives a round trip through 1.1.0 whole', (t) => {
  fc.assert(
    fc.property(result, (value) => {
      const back = decodeResult(json(encodeResult(value, '1.1.0')), '1.1.0');
      t.deepEqual(json(back), json(value));
    }),
  );
  t.pass();
});

test('any result, once converted to a version, is not changed by another round trip through it', (t) => {
  fc.assert(
    fc.property(result, fc.constantFrom(...SUPPORTED_VERSIONS), (value, version) => {
      fc.pre(isAtLeast(version, '0.3.0') || (value.ips ?? []).length > 0);
      const once = json(encodeResult(value, version));
      const twice = json(encodeResult(decodeResult(once, version), version));
      t.deepEqual(twice, once);
    }),
  );
  t.pass();
});
