/** Boxes: their union and difference, compared with counting every point of a small world. */
import test from 'ava';
import fc from 'fast-check';
import { type Box, everything, subtract, union } from '../../src/nft/policy-boxes.ts';

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

test('what a box with everybody costs beside others grows as they do, not as their square', (t) => {
  const others = (n: number) =>
    Array.from(
      { length: n },
      (_, i): Box => ({ peer: [BigInt(2 * i), BigInt(2 * i)], protocol: [6, 6], port: [0, 80] }),
    );
  const reads = (n: number) => {
    let count = 0;
    const counted = ({ peer, protocol, port }: Box): Box => ({
      get peer() {
        count++;
        return peer;
      },
      get protocol() {
        count++;
        return protocol;
      },
      get port() {
        count++;
        return port;
      },
    });
    const [all, some] = [counted(everything(4)), others(n).map(counted)];
    // Each hole leaves a box behind it, and within its addresses those with lower protocols, higher protocols and
    // higher ports.
    t.is(subtract([all], some).length, 4 * n);
    t.is(union([all, ...some]).length, 1);
    t.is(union([...some, all]).length, 5 * n);
    return count;
  };
  const [one, two] = [reads(500), reads(1000)];
  t.true(two < 3 * one, `${one} reads for 500 boxes, ${two} for 1,000`);
});
