/** Boxes: their union and difference against counting every point of a small world. */
import test from 'ava';
import fc from 'fast-check';
import { type Box, overlap, subtract, union } from '../../src/nft/policy-boxes.ts';

const SIDE = 5;
const points = Array.from(
  { length: SIDE ** 3 },
  (_, i) => [i % SIDE, Math.floor(i / SIDE) % SIDE, Math.floor(i / SIDE ** 2)] as const,
);

const range = fc.tuple(fc.integer({ min: 0, max: SIDE - 1 }), fc.integer({ min: 0, max: SIDE - 1 }));
const box = fc.tuple(range, range, range).map(([peer, protocol, port]): Box => {
  const sorted = ([a, b]: readonly [number, number]) => [Math.min(a, b), Math.max(a, b)] as const;
  const [first, last] = sorted(peer);
  return { peer: [BigInt(first), BigInt(last)], protocol: sorted(protocol), port: sorted(port) };
});
const boxes = fc.array(box, { maxLength: 6 });

const holds = ({ peer, protocol, port }: Box, [x, y, z]: readonly [number, number, number]) =>
  peer[0] <= x && x <= peer[1] && protocol[0] <= y && y <= protocol[1] && port[0] <= z && z <= port[1];
const count = (all: readonly Box[], point: readonly [number, number, number]) =>
  all.filter((each) => holds(each, point)).length;

test('a union has each point of its boxes once', (t) => {
  fc.assert(
    fc.property(boxes, (all) => {
      const result = union(all);
      for (const point of points) t.is(count(result, point), Math.min(count(all, point), 1));
    }),
    { numRuns: 100 },
  );
});

test('a difference has what is in one of these and in none of those', (t) => {
  fc.assert(
    fc.property(boxes, boxes, (these, those) => {
      const result = subtract(union(these), those);
      for (const point of points)
        t.is(count(result, point), count(these, point) > 0 && count(those, point) === 0 ? 1 : 0);
    }),
    { numRuns: 100 },
  );
});

test('boxes overlap where they have a point in common', (t) => {
  fc.assert(
    fc.property(box, box, (a, b) =>
      t.is(
        overlap(a, b),
        points.some((point) => holds(a, point) && holds(b, point)),
      ),
    ),
  );
});
