/** The ip-address package is the oracle. */
import test from 'ava';
import fc from 'fast-check';
import { Address4, Address6 } from 'ip-address';
import { hasCode } from '../../src/error.ts';
import { Ip } from '../../src/net/ip.ts';
import { familyAndNumber, ip, ip6 } from './arbitraries.ts';

test('property: the text of an address is what ip-address writes, and reads back as the same', (t) => {
  fc.assert(
    fc.property(ip, (one) => {
      const text = one.toString();
      t.is(text, one.family === 4 ? new Address4(text).correctForm() : new Address6(text).correctForm());
      t.true(Ip.parse(text).equals(one));
    }),
    { numRuns: 2000 },
  );
});

test('property: every notation of an IPv6 address is read as the same one', (t) => {
  fc.assert(
    fc.property(ip6, (one) => {
      const address = new Address6(one.toString());
      const dotted = `${address.canonicalForm().split(':').slice(0, 6).join(':')}:${[...one.bytes.slice(12)].join('.')}`;
      for (const text of [address.canonicalForm(), address.correctForm().toUpperCase(), dotted]) {
        t.true(Ip.parse(text).equals(one), text);
      }
    }),
    { numRuns: 1000 },
  );
});

test('property: what ip-address refuses as IPv6 is no address here, and the other way round', (t) => {
  const char = fc.constantFrom(...'0123456789afAF:::::.g'.split(''));
  const text = fc.oneof(
    fc.string({ unit: char, maxLength: 20 }),
    fc
      .array(fc.constantFrom('', '0', '1', 'ffff', '10000', '1.2.3.4', '::', '1.2'), { maxLength: 9 })
      .map((parts) => parts.join(':')),
  );
  fc.assert(
    fc.property(text, (candidate) => {
      fc.pre(candidate.includes(':'));
      t.is(Ip.tryParse(candidate) !== undefined, Address6.isValid(candidate), candidate);
    }),
    { numRuns: 5000 },
  );
});

test('property: the number of an address is the one of ip-address, and makes the address again', (t) => {
  fc.assert(
    fc.property(familyAndNumber, ([family, number]) => {
      const one = Ip.fromBigInt(family, number);
      t.is(one.toBigInt(), number);
      const oracle = family === 4 ? Address4.fromBigInt(number) : Address6.fromBigInt(number);
      t.is(one.toString(), oracle.correctForm());
    }),
    { numRuns: 1000 },
  );
});

test('property: order and distance are those of the numbers', (t) => {
  fc.assert(
    fc.property(ip, ip, (a, b) => {
      t.is(a.equals(b), a.compare(b) === 0);
      t.is(Math.sign(a.compare(b)), -Math.sign(b.compare(a)) + 0);
      if (a.family !== b.family) return;
      const distance = b.toBigInt() - a.toBigInt();
      t.true(a.plus(distance).equals(b));
      t.is(Math.sign(a.compare(b)), -Math.sign(Number(distance)) + 0);
    }),
  );
});

const notAddresses = [
  '',
  '10.1.2',
  '10.1.2.3.4',
  '10.1.2.256',
  '10.1.2.03',
  '10.1.2.-1',
  ' 10.1.2.3',
  '0x0a.1.2.3',
  '10.1.2.3/24',
  'fe80::1%eth0',
  ':',
  ':::',
  '1::2::3',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7::8',
  '::12345',
  '1.2.3.4::',
  '::1.2.3',
  '[::1]',
];

for (const text of notAddresses) {
  test(`${JSON.stringify(text)} is no address`, (t) => {
    t.is(Ip.tryParse(text), undefined);
    t.true(
      hasCode(
        t.throws(() => Ip.parse(text)),
        'invalid-address',
      ),
    );
  });
}

test('an IPv4-mapped address is the IPv4 address that it means', (t) => {
  t.is(Ip.parse('::ffff:10.0.0.1').toString(), '10.0.0.1');
  t.is(Ip.parse('::ffff:a00:1').family, 4);
});

test('there is nothing before the first address and behind the last', (t) => {
  for (const [ip, step] of [
    ['0.0.0.0', -1n],
    ['255.255.255.255', 1n],
    ['::', -1n],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 1n],
  ] as const) {
    t.true(
      hasCode(
        t.throws(() => Ip.parse(ip).plus(step)),
        'invalid-address',
      ),
      ip,
    );
  }
});

test('property: multicast is what ip-address calls so', (t) => {
  fc.assert(
    fc.property(ip, (one) => {
      const oracle = one.family === 4 ? new Address4(one.toString()) : new Address6(one.toString());
      t.is(one.isMulticast(), oracle.isMulticast());
    }),
  );
});
