/** Addresses for fast-check: any, and those with runs of zeros, which notations write differently. */
import fc from 'fast-check';
import { bitsOf, type Family, Ip } from '../../src/net/ip.ts';

const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));

export const ip4: fc.Arbitrary<Ip> = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Ip.of(bytes));

/**
 * NB: without IPv4-mapped addresses (::ffff:0:0/96), because their text is read as an IPv4 address. ip.test.ts tests
 * those separately.
 */
export const ip6: fc.Arbitrary<Ip> = fc
  .array(group, { minLength: 8, maxLength: 8 })
  .filter((groups) => groups[5] !== 0xffff || groups.slice(0, 5).some((value) => value !== 0))
  .map((groups) => Ip.of(Uint8Array.from(groups.flatMap((value) => [value >> 8, value & 0xff]))));

export const ip: fc.Arbitrary<Ip> = fc.oneof(ip4, ip6);

export const ipAndPrefix: fc.Arbitrary<readonly [Ip, number]> = ip.chain((one) =>
  fc.tuple(fc.constant(one), fc.integer({ min: 0, max: bitsOf(one.family) })),
);

export const familyAndNumber: fc.Arbitrary<readonly [Family, bigint]> = fc
  .constantFrom<Family>(4, 6)
  .chain((family) => fc.tuple(fc.constant(family), fc.bigInt({ min: 0n, max: 2n ** BigInt(bitsOf(family)) - 1n })));
