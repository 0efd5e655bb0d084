/** The ip-address package is the oracle. */
import test from 'ava';
import fc from 'fast-check';
import { Address4, Address6 } from 'ip-address';
import { hasCode } from '../../src/error.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { ip, ipAndPrefix } from './arbitraries.ts';

function oracle(cidr: Cidr): Address4 | Address6 {
  return cidr.family === 4 ? new Address4(cidr.toString()) : new Address6(cidr.toString());
}

test('property: first, last and size are those of ip-address', (t) => {
  fc.assert(
    fc.property(ipAndPrefix, ([one, prefix]) => {
      const cidr = new Cidr(one, prefix);
      const first = oracle(cidr).startAddress();
      const last = oracle(cidr).endAddress();
      t.is(cidr.first().toString(), first.correctForm());
      t.is(cidr.last().toString(), last.correctForm());
      t.is(cidr.size(), last.bigInt() - first.bigInt() + 1n);
      t.is(cidr.hasHostBits(), first.correctForm() !== one.toString());
      t.is(cidr.network().toString(), `${first.correctForm()}/${prefix}`);
      t.false(cidr.network().hasHostBits());
    }),
    { numRuns: 1000 },
  );
});

test('property: an address is contained if it lies between first and last', (t) => {
  fc.assert(
    fc.property(ipAndPrefix, ip, fc.bigInt(-3n, 3n), ([one, prefix], other, step) => {
      const cidr = new Cidr(one, prefix);
      const edge = cidr.last().toBigInt() + step;
      const isPossible = edge >= 0n && edge < 2n ** (one.family === 4 ? 32n : 128n);
      for (const ip of [other, cidr.first(), cidr.last(), ...(isPossible ? [Ip.fromBigInt(one.family, edge)] : [])]) {
        const isBetween = ip.family === one.family && ip.compare(cidr.first()) >= 0 && ip.compare(cidr.last()) <= 0;
        t.is(cidr.contains(ip), isBetween, `${cidr} ${ip}`);
      }
    }),
    { numRuns: 1000 },
  );
});

test('property: two prefixes overlap if one holds the other, whichever is asked', (t) => {
  fc.assert(
    fc.property(ipAndPrefix, ipAndPrefix, fc.boolean(), ([a, m], [b, n], isSame) => {
      const one = new Cidr(a, m);
      const other = isSame ? new Cidr(a, Math.min(n, a.family === 4 ? 32 : 128)) : new Cidr(b, n);
      const holds = one.contains(other.first()) || other.contains(one.first());
      t.is(one.overlaps(other), holds);
      t.is(other.overlaps(one), holds);
    }),
    { numRuns: 1000 },
  );
});

test('property: what is written is read back', (t) => {
  fc.assert(
    fc.property(ipAndPrefix, ([one, prefix]) => {
      const cidr = new Cidr(one, prefix);
      t.true(Cidr.parse(cidr.toString()).equals(cidr));
      t.is(JSON.stringify(cidr), JSON.stringify(cidr.toString()));
    }),
  );
});

for (const text of [
  '',
  '10.0.0.1',
  '10.0.0.1/',
  '10.0.0.1/33',
  '::/129',
  '10.0.0.1/08',
  '10.0.0.1/+8',
  '10.0.0.1/24/1',
  '/24',
  '10.0.0.1/255.0.0.0',
  '10.0.0.1/-1',
  '::ffff:10.0.0.1/95',
]) {
  test(`${JSON.stringify(text)} is no address with a prefix`, (t) => {
    t.is(Cidr.tryParse(text), undefined);
    t.true(
      hasCode(
        t.throws(() => Cidr.parse(text)),
        'invalid-address',
      ),
    );
  });
}

test('the prefix of an IPv4-mapped address counts from bit 96', (t) => {
  t.is(Cidr.parse('::ffff:10.0.0.1/120').toString(), '10.0.0.1/24');
});

test('a prefix that its family does not have is refused', (t) => {
  for (const prefix of [-1, 33, 1.5, Number.NaN]) {
    t.true(
      hasCode(
        t.throws(() => new Cidr(Ip.parse('10.0.0.1'), prefix)),
        'invalid-address',
      ),
      `${prefix}`,
    );
  }
});
