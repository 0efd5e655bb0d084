/**
 * 65,000 leases in one network: the cost of a call does not depend on their number. It is measured in libc calls, not
 * in time.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test from 'ava';
import { find, release, reserve } from '../../../src/ipam/host-local/store.ts';
import { tapLibc } from './libc-tap.ts';
import { placeFor, setsOf, type TestPlace } from './place.ts';

const SETS = setsOf('10.0.0.0/15');
const COUNT = 65_000;
const eth0 = (containerId: string) => ({ containerId, ifname: 'eth0' });

function callsOf(act: () => unknown): string[] {
  const tap = tapLibc(() => undefined);
  try {
    act();
    return tap.calls;
  } finally {
    tap.stop();
  }
}

function cycle(place: TestPlace): string[][] {
  return [
    callsOf(() => reserve(place, eth0('new'), SETS)),
    callsOf(() => find(place, eth0('new'))),
    callsOf(() => release(place, eth0('new'))),
    callsOf(() => release(place, eth0('new'))),
  ];
}

test('ADD, CHECK, DEL and a second DEL make the same calls with 65,000 leases as with one', (t) => {
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const small = placeFor(t, parent);
  reserve(small, eth0('first'), SETS);
  const expected = cycle(small);
  t.true(
    expected.every((calls) => calls.length < 60),
    `${expected.map((calls) => calls.length)}`,
  );

  const large = placeFor(t, parent);
  mkdirSync(large.path, { recursive: true });
  for (let i = 2; i < COUNT + 2; i++) {
    writeFileSync(`${large.path}/10.0.${i >> 8}.${i & 255}`, `c${i}\r\neth0`);
  }
  writeFileSync(`${large.path}/last_reserved_ip.0`, `10.0.${(COUNT + 1) >> 8}.${(COUNT + 1) & 255}`);
  // Only once: the directory is new to us, so it is read.
  t.deepEqual(find(large, eth0('c77')).map(String), ['10.0.0.77']);
  t.deepEqual(cycle(large), expected);
  t.deepEqual(release(large, eth0('c77')), ['10.0.0.77']);
  t.deepEqual(large.warnings, []);
});
