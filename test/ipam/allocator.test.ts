import test from 'ava';
import fc from 'fast-check';
import { hasCode } from '../../src/error.ts';
import { assign, capacity, countTaken, fullError } from '../../src/ipam/allocator.ts';
import { type RangeSet, rangeOf, rangeSets } from '../../src/ipam/range.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { rangeSet } from './arbitraries.ts';
import { candidates } from './candidates.ts';

function set(...subnets: string[]): RangeSet {
  const [first] = rangeSets([subnets.map((subnet) => ({ subnet: Cidr.parse(subnet) }))], 'ranges');
  return first ?? [];
}

function order(of: RangeSet, last?: string): string[] {
  return candidates(of, last === undefined ? undefined : Ip.parse(last)).map(({ ip }) => ip.toString());
}

test('addresses come from the first on, without the gateway', (t) => {
  t.deepEqual(order(set('10.0.0.0/29')), ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
});

test('addresses come from the one after the last on, over all ranges, and the last one comes last', (t) => {
  const two = set('10.0.0.0/29', '10.0.1.0/30');
  t.deepEqual(order(two, '10.0.0.4'), ['10.0.0.5', '10.0.0.6', '10.0.1.2', '10.0.0.2', '10.0.0.3', '10.0.0.4']);
  t.deepEqual(order(two, '10.0.1.2'), ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.1.2']);
});

test('a last address outside of the set counts for nothing', (t) => {
  t.deepEqual(order(set('10.0.0.0/30'), '10.9.9.9'), ['10.0.0.2']);
  t.deepEqual(order(set('10.0.0.0/30'), 'fd00::1'), ['10.0.0.2']);
});

test('neither the network nor the broadcast address is ever given, though a range may name them', (t) => {
  const [all] = rangeSets(
    [[{ subnet: Cidr.parse('10.0.0.0/30'), rangeStart: Ip.parse('10.0.0.0'), rangeEnd: Ip.parse('10.0.0.3') }]],
    'ranges',
  );
  t.deepEqual(order(all ?? []), ['10.0.0.2']);
  t.is(capacity(all ?? []), 1n);
});

test('an IPv6 range is never walked through', (t) => {
  const wide = set('fd00::/64');
  const [first, second] = candidates(wide, Ip.parse('fd00::ffff:ffff:ffff:fffe'), 2);
  t.deepEqual([first?.ip.toString(), second?.ip.toString()], ['fd00::ffff:ffff:ffff:ffff', 'fd00::2']);
  t.is(capacity(wide), 2n ** 64n - 2n);
});

test('property: each address that can be given comes exactly once, in the range that it is given with', (t) => {
  fc.assert(
    fc.property(rangeSet, fc.nat(), (some, seed) => {
      const all = candidates(some);
      const last = all[seed % Math.max(all.length, 1)];
      const again = candidates(some, last?.ip);
      t.is(BigInt(all.length), capacity(some));
      t.is(
        countTaken(
          some,
          all.map(({ ip }) => ip),
        ),
        capacity(some),
      );
      t.is(new Set(all.map(({ ip }) => ip.toString())).size, all.length);
      for (const { ip, range } of again) {
        t.is(rangeOf(some, ip), range);
        t.false(ip.equals(range.gateway));
        t.true(range.subnet.contains(ip));
      }
      // Round robin: from behind the last address to the end, then from the start.
      const cut = all.findIndex(({ ip }) => last !== undefined && ip.equals(last.ip)) + 1;
      t.deepEqual(
        again.map(({ ip }) => ip.toString()),
        [...all.slice(cut), ...all.slice(0, cut)].map(({ ip }) => ip.toString()),
      );
    }),
    { numRuns: 300 },
  );
});

test('asked-for addresses go to the sets that hold them, whatever their order, and count once', (t) => {
  const sets = [set('10.0.0.0/24'), set('fd00::/64')];
  const ips = ['fd00::5', '10.0.0.9', 'fd00::5'].map((ip) => Ip.parse(ip));
  t.deepEqual(
    assign(sets, ips).map((one) => one?.ip.toString()),
    ['10.0.0.9', 'fd00::5'],
  );
  t.deepEqual(assign(sets, []), [undefined, undefined]);
});

test('an asked-for address that no set can give is refused before anything is done', (t) => {
  const sets = [set('10.0.0.0/24')];
  const refusal = (...ips: string[]) =>
    t.throws(() =>
      assign(
        sets,
        ips.map((ip) => Ip.parse(ip)),
      ),
    )?.message;
  t.is(refusal('10.0.0.1'), "failed to allocate for range 0: requested ip 10.0.0.1 is subnet's gateway");
  t.is(
    refusal('10.0.0.5', '10.0.0.6', '10.1.1.1'),
    'failed to allocate all requested IPs: 10.0.0.6 10.1.1.1, expected at most one of each range set: 10.0.0.1-10.0.0.254',
  );
});

test('a full set names its bounds and its count', (t) => {
  const error = fullError(set('10.0.0.0/29', '10.0.1.0/30'), 0);
  t.true(hasCode(error, 'address-exhausted'));
  t.is(
    error.message,
    'failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.6,10.0.1.1-10.0.1.2, all 6 are taken',
  );
});
