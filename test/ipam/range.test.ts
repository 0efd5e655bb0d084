import test from 'ava';
import { hasCode } from '../../src/error.ts';
import { boundsOf, type RangeKeys, rangeSets } from '../../src/ipam/range.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';

interface Text {
  subnet: string;
  rangeStart?: string;
  rangeEnd?: string;
  gateway?: string;
}

function keys({ subnet, rangeStart, rangeEnd, gateway }: Text): RangeKeys {
  return {
    subnet: Cidr.parse(subnet),
    ...(rangeStart && { rangeStart: Ip.parse(rangeStart) }),
    ...(rangeEnd && { rangeEnd: Ip.parse(rangeEnd) }),
    ...(gateway && { gateway: Ip.parse(gateway) }),
  };
}

function read(...sets: Text[][]): string[] {
  return rangeSets(
    sets.map((set) => set.map(keys)),
    'ipam.ranges',
  ).map((set) => `${boundsOf(set)} ${set.map(({ gateway }) => gateway)}`);
}

const defaults: readonly (readonly [Text, string])[] = [
  [{ subnet: '192.0.2.0/24' }, '192.0.2.1-192.0.2.254 192.0.2.1'],
  [{ subnet: '192.0.2.0/25' }, '192.0.2.1-192.0.2.126 192.0.2.1'],
  [{ subnet: '192.0.2.0/30' }, '192.0.2.1-192.0.2.2 192.0.2.1'],
  [{ subnet: '2001:DB8:1::/64' }, '2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff 2001:db8:1::1'],
  [
    { subnet: '192.0.2.0/24', rangeStart: '192.0.2.40', rangeEnd: '192.0.2.50', gateway: '192.0.2.254' },
    '192.0.2.40-192.0.2.50 192.0.2.254',
  ],
  [{ subnet: '10.0.0.0/24', rangeEnd: '10.0.0.255' }, '10.0.0.1-10.0.0.255 10.0.0.1'],
  [{ subnet: 'fd00::/64', gateway: 'fe80::1' }, 'fd00::1-fd00::ffff:ffff:ffff:ffff fe80::1'],
];

for (const [range, expected] of defaults) {
  test(`${JSON.stringify(range)} is filled in as ${expected}`, (t) => {
    t.deepEqual(read([range]), [expected]);
  });
}

const faults: readonly (readonly [Text[][], string])[] = [
  [[], 'no IP ranges specified, expected "ipam.ranges" or a "subnet"'],
  [[[]], 'invalid range set 0: empty range set, expected at least one range in "ipam.ranges[0]"'],
  [
    [[{ subnet: '192.0.2.12/24' }]],
    'invalid range set 0: "ipam.ranges[0][0]": Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0, not 192.0.2.12',
  ],
  [
    [[{ subnet: '192.0.2.0/31' }]],
    'invalid range set 0: "ipam.ranges[0][0]": Network 192.0.2.0/31 too small to allocate from, expected at least 4 addresses',
  ],
  [
    [[{ subnet: '10.0.0.0/24', gateway: '192.168.1.1' }]],
    'invalid range set 0: "ipam.ranges[0][0]": gateway 192.168.1.1 not in network 10.0.0.0/24',
  ],
  [
    [[{ subnet: '10.0.0.0/24', gateway: '2001:db8::1' }]],
    'invalid range set 0: "ipam.ranges[0][0]": gateway 2001:db8::1 not in network 10.0.0.0/24',
  ],
  [
    [[{ subnet: '192.0.2.0/24', rangeStart: '192.0.3.0' }]],
    'invalid range set 0: "ipam.ranges[0][0]": RangeStart 192.0.3.0 not in network 192.0.2.0/24',
  ],
  [
    [[{ subnet: '192.0.2.0/24', rangeEnd: '192.0.4.0' }]],
    'invalid range set 0: "ipam.ranges[0][0]": RangeEnd 192.0.4.0 not in network 192.0.2.0/24',
  ],
  [
    [[{ subnet: '192.0.2.0/24', rangeStart: '192.0.2.50', rangeEnd: '192.0.2.40' }]],
    'invalid range set 0: "ipam.ranges[0][0]": RangeStart 192.0.2.50 not in network 192.0.2.0/24 up to RangeEnd 192.0.2.40, expected start <= end',
  ],
  [
    [[{ subnet: '10.0.0.0/24' }, { subnet: 'fd00::/64' }]],
    'invalid range set 0: mixed address families, expected one: 10.0.0.1-10.0.0.254,fd00::1-fd00::ffff:ffff:ffff:ffff',
  ],
  [
    [[{ subnet: '10.0.0.0/20' }, { subnet: '10.0.1.0/24' }]],
    'invalid range set 0: subnets 10.0.0.1-10.0.15.254 and 10.0.1.1-10.0.1.254 overlap',
  ],
  [
    [[{ subnet: '10.0.0.0/24', rangeEnd: '10.0.0.127' }], [{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.127' }]],
    'range set 0 overlaps with 1: 10.0.0.1-10.0.0.127 and 10.0.0.127-10.0.0.254',
  ],
];

for (const [sets, message] of faults) {
  test(`a configuration is refused: ${message}`, (t) => {
    const error = t.throws(() => read(...sets));
    t.true(hasCode(error, 'invalid-config'));
    t.is(error?.message, message);
  });
}

test('two halves of one subnet do not overlap, nor do families whose bits would', (t) => {
  t.is(
    read(
      [{ subnet: '10.0.0.0/24', rangeEnd: '10.0.0.127' }],
      [{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.128' }],
      [{ subnet: '0.0.0.0/24' }],
      [{ subnet: '::/24' }],
    ).length,
    4,
  );
});
