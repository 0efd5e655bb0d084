/** Range sets for fast-check: small enough to be enumerated, of both families, with and without bounds and gateways. */
import fc from 'fast-check';
import { type RangeKeys, type RangeSet, rangeSets } from '../../src/ipam/range.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';

const BASE = { 4: Ip.parse('10.0.0.0').toBigInt(), 6: Ip.parse('fd00::').toBigInt() };
/** The space for one subnet, so that those of a set never overlap. */
const SLOT = 64n;

interface Shape {
  readonly hostBits: number;
  readonly start: number | undefined;
  readonly end: number | undefined;
  readonly gateway: number | undefined;
}

const offset = fc.option(fc.nat(63), { nil: undefined });
const shape = fc.record<Shape>({
  hostBits: fc.integer({ min: 2, max: 5 }),
  start: offset,
  end: offset,
  gateway: offset,
});

export const rangeSet: fc.Arbitrary<RangeSet> = fc
  .tuple(fc.constantFrom<4 | 6>(4, 6), fc.array(shape, { minLength: 1, maxLength: 3 }))
  .map(([family, shapes]) => {
    const [set] = rangeSets([shapes.map((one, i) => keysOf(family, i, one))], 'ranges');
    return set ?? [];
  });

function keysOf(family: 4 | 6, slot: number, { hostBits, start, end, gateway }: Shape): RangeKeys {
  const first = BASE[family] + BigInt(slot) * SLOT;
  const at = (offset: number) => Ip.fromBigInt(family, first + BigInt(offset % 2 ** hostBits));
  const bounds = [start, end].filter((one) => one !== undefined).map((one) => at(one));
  const [low, high] = bounds.sort((a, b) => a.compare(b));
  const subnet = new Cidr(Ip.fromBigInt(family, first), (family === 4 ? 32 : 128) - hostBits);
  return {
    subnet,
    ...(bounds.length === 2 && low && high && { rangeStart: low, rangeEnd: high }),
    ...(gateway !== undefined && { gateway: at(gateway) }),
  };
}
