/**
 * What is left when a libc call fails, or when the process is killed before it: for each call of ADD, DEL and GC in
 * turn.
 */
import { cpSync, rmSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { find, gc, release, reserve } from '../../../src/ipam/host-local/store.ts';
import { failure, tapLibc } from './libc-tap.ts';
import { indexOf, leasesIn, placeAt, placeFor, setsOf, strayFiles, type TestPlace } from './place.ts';
import { work } from './processes.ts';

const SETS = setsOf('10.1.0.0/16', 'fd00::/64');
const victim = { containerId: 'victim', ifname: 'eth0' };
const other = { containerId: 'other', ifname: 'eth0' };

/** A network in which `other` has a lease, and if wanted `victim` as well. */
function prepare(place: TestPlace, withVictim: boolean): void {
  reserve(place, other, SETS);
  if (withVictim) reserve(place, victim, SETS);
}

/** Checks what must hold after any failure, and then after a DEL or a GC. */
function verify(t: ExecutionContext, crashed: TestPlace, what: string): void {
  const byGc = placeAt(`${crashed.root}-gc`);
  t.teardown(() => rmSync(byGc.root, { recursive: true, force: true }));
  cpSync(crashed.root, byGc.root, { recursive: true, verbatimSymlinks: true });
  for (const [ip, content] of Object.entries(leasesIn(crashed))) {
    t.regex(content, /^(victim|other)\r\neth0$/, `${what}: the lease of ${ip} is whole`);
  }
  const otherLeases = { '10.1.0.2': 'other\r\neth0', 'fd00::2': 'other\r\neth0' };
  release(crashed, victim);
  gc(byGc, [other]);
  for (const place of [crashed, byGc]) {
    t.deepEqual(leasesIn(place), otherLeases, what);
    t.deepEqual(strayFiles(place), [], what);
    t.is(reserve(place, victim, SETS).length, 2, what);
    t.deepEqual(find(place, other).map(String).sort(), ['10.1.0.2', 'fd00::2'], what);
    release(place, victim);
    t.deepEqual(indexOf(place)['other:eth0']?.split(',').sort(), ['10.1.0.2', 'fd00::2'], what);
  }
  rmSync(byGc.root, { recursive: true });
  rmSync(crashed.root, { recursive: true });
}

const verbs = {
  reserve: (place: TestPlace) => reserve(place, victim, SETS),
  release: (place: TestPlace) => release(place, victim),
  gc: (place: TestPlace) => gc(place, [other]),
};

for (const [verb, act] of Object.entries(verbs)) {
  const withVictim = verb !== 'reserve';

  test.serial(`${verb}: whichever call of libc fails, DEL and GC clean up, and a failed ADD leaves no lease`, (t) => {
    let count = 0;
    for (let n = 1; ; n++) {
      const place = placeFor(t);
      prepare(place, withVictim);
      // NB: close(2) frees the descriptor whatever it returns. Making it fail would simulate a kernel that does not
      // exist.
      const tap = tapLibc((name, i) => (i === n && name !== 'close' ? failure() : undefined));
      let failed = false;
      try {
        act(place);
      } catch {
        failed = true;
      } finally {
        tap.stop();
      }
      if (tap.calls.length < n) break;
      const what = `${verb}, ${tap.calls[n - 1]} (call ${n}) fails`;
      if (verb === 'reserve' && failed) {
        t.false(Object.values(leasesIn(place)).includes('victim\r\neth0'), what);
      }
      verify(t, place, what);
      count = n;
    }
    t.true(count > 8, `${count} calls`);
  });

  test.serial(`${verb}: before whichever call of libc it is killed, DEL and GC clean up`, async (t) => {
    let n = 1;
    for (let signal: string | null = 'SIGKILL'; signal !== null; n++) {
      const place = placeFor(t);
      prepare(place, withVictim);
      // The worker's gc keeps the id that it gets.
      const end = await work(place.root, verb === 'gc' ? 'other' : 'victim', [`kill:${n}`, verb]);
      t.is(end.stderr, '');
      signal = end.signal;
      verify(t, place, `${verb}, killed before call ${n}`);
    }
    t.true(n > 8, `${n} calls`);
  });
}
