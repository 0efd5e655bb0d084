import { readdirSync } from 'node:fs';
import test from 'ava';
import { indexOf, leasesIn, placeFor, strayFiles } from './place.ts';
import { work } from './processes.ts';

const COUNT = 200;
/** How many processes run at a time: all of them wait for one lock anyway, and 200 Nodes need 10 GB. */
const AT_ONCE = 40;

async function all<T>(count: number, one: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const i = next++;
      results[i] = await one(i);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return results;
}

test('200 processes that add, look and delete get no address twice and lose none, and nothing is left', async (t) => {
  const place = placeFor(t);
  // Each adds, checks, deletes and adds again. Half of them leave their lease.
  const ends = await all(COUNT, (i) =>
    work(place.root, `c${i}`, ['reserve', 'find', 'release', 'reserve', ...(i % 2 === 0 ? ['release'] : [])]),
  );
  for (const { lines, stderr } of ends) {
    t.is(stderr, '');
    t.deepEqual(lines[0], lines[1], 'what was reserved is found');
    t.is((lines[3] as unknown[]).length, 2);
  }
  const held = ends.filter((_, i) => i % 2 === 1).flatMap(({ lines }) => lines[3] as string[]);
  t.is(new Set(held).size, COUNT);
  t.deepEqual(Object.keys(leasesIn(place)).sort(), held.sort());
  t.is(Object.keys(indexOf(place)).length, COUNT / 2);
  t.deepEqual(strayFiles(place), []);
  await all(COUNT, (i) => work(place.root, `c${i}`, ['release']));
  t.deepEqual(readdirSync(place.path).sort(), ['last_reserved_ip.0', 'last_reserved_ip.1', 'lock']);
  t.deepEqual(indexOf(place), {});
});

test('of 40 processes that want the last 13 addresses, 13 get one and 27 are told that it is full', async (t) => {
  const place = placeFor(t);
  const ends = await all(40, (i) => work(place.root, `c${i}`, ['reserve'], '10.1.0.0/28'));
  const given = ends.filter(({ lines }) => Array.isArray(lines[0])).map(({ lines }) => (lines[0] as string[])[0]);
  t.is(given.length, 13);
  t.is(new Set(given).size, 13);
  t.is(ends.filter(({ lines }) => JSON.stringify(lines[0]).includes('all 13 are taken')).length, 27);
  t.is(Object.keys(leasesIn(place)).length, 13);
});
