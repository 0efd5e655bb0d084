import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { hasCode } from '../../../src/error.ts';
import { find, gc, release, reserve, statistics } from '../../../src/ipam/host-local/store.ts';
import { Ip } from '../../../src/net/ip.ts';
import { rangeSet } from '../arbitraries.ts';
import { candidates } from '../candidates.ts';
import { indexOf, leasesIn, placeAt, placeFor, setsOf, strayFiles } from './place.ts';

const eth0 = (containerId: string) => ({ containerId, ifname: 'eth0' });

test('a lease is what the reference writes, to the byte', (t) => {
  const place = placeFor(t);
  const given = reserve(place, eth0('abc'), setsOf('10.1.2.0/24', '2001:db8:1::/64'));
  t.deepEqual(
    given.map(({ ip }) => ip.toString()),
    ['10.1.2.2', '2001:db8:1::2'],
  );
  t.deepEqual(leasesIn(place), { '10.1.2.2': 'abc\r\neth0', '2001:db8:1::2': 'abc\r\neth0' });
  t.is(readFileSync(`${place.path}/last_reserved_ip.0`, 'utf8'), '10.1.2.2');
  t.is(readFileSync(`${place.path}/last_reserved_ip.1`, 'utf8'), '2001:db8:1::2');
  t.is(statSync(`${place.path}/10.1.2.2`).mode & 0o777, 0o644);
  t.deepEqual(strayFiles(place), []);
  t.deepEqual(place.warnings, []);
});

test('an address released is not the next one given', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.0.0.0/29');
  for (const ip of ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.2']) {
    t.is(reserve(place, eth0('crashing'), sets)[0]?.ip.toString(), ip);
    t.deepEqual(release(place, eth0('crashing')), [ip]);
  }
});

test('a second ADD of the same container and interface is refused, and the first one stands', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.2.0/24', 'fd00::/64');
  reserve(place, eth0('dummy'), sets);
  const before = leasesIn(place);
  const error = t.throws(() => reserve(place, eth0('dummy'), sets));
  t.true(hasCode(error, 'duplicate'));
  t.regex(error?.message ?? '', /10\.1\.2\.2 has been allocated to dummy, duplicate allocation is not allowed/);
  t.like(error, { hint: 'an ADD of "eth0" took it, and no DEL has freed it: call DEL first' });
  t.deepEqual(leasesIn(place), before);
  t.is(reserve(place, { containerId: 'dummy', ifname: 'eth1' }, sets)[0]?.ip.toString(), '10.1.2.3');
});

test('a container may have leases of a range that is no longer configured, and all are released', (t) => {
  const place = placeFor(t);
  reserve(place, eth0('a'), setsOf('10.1.0.0/24'));
  reserve(place, eth0('a'), setsOf('10.2.0.0/24'));
  t.deepEqual(indexOf(place), { 'a:eth0': '10.1.0.2,10.2.0.2' });
  t.deepEqual([...release(place, eth0('a'))].sort(), ['10.1.0.2', '10.2.0.2']);
  t.deepEqual(leasesIn(place), {});
  t.deepEqual(indexOf(place), {});
});

test('releasing twice, or what never was, or in a network that never was, is no error and makes nothing', (t) => {
  const place = placeFor(t);
  t.deepEqual(release(place, eth0('a')), []);
  t.throws(() => statSync(place.path), { code: 'ENOENT' });
  reserve(place, eth0('a'), setsOf('10.1.0.0/24'));
  t.deepEqual(release(place, eth0('b')), []);
  t.deepEqual(release(place, eth0('a')), ['10.1.0.2']);
  t.deepEqual(release(place, eth0('a')), []);
});

test('a file with the id only is the lease of any interface of the container', (t) => {
  const place = placeFor(t);
  mkdirSync(place.path, { recursive: true });
  writeFileSync(`${place.path}/10.1.0.7`, 'old\n');
  t.deepEqual(find(place, eth0('old')).map(String), ['10.1.0.7']);
  t.throws(() => reserve(place, eth0('old'), setsOf('10.1.0.0/24')), {
    message: /10\.1\.0\.7 has been allocated to old/,
  });
  t.deepEqual(gc(place, [{ containerId: 'old', ifname: 'net1' }]), []);
  t.deepEqual(release(place, eth0('old')), ['10.1.0.7']);
  t.deepEqual(leasesIn(place), {});
});

test('white space around a lease counts for nothing', (t) => {
  const place = placeFor(t);
  mkdirSync(place.path, { recursive: true });
  writeFileSync(`${place.path}/10.1.0.7`, '  a\r\neth0\n');
  t.deepEqual(release(place, eth0('a')), ['10.1.0.7']);
});

test('all or nothing: where one range set is full, the others keep their addresses', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/24', 'fd00::/126');
  reserve(place, eth0('a'), sets);
  reserve(place, eth0('b'), sets);
  const before = { leases: leasesIn(place), index: indexOf(place) };
  const error = t.throws(() => reserve(place, eth0('c'), sets));
  t.true(hasCode(error, 'address-exhausted'));
  t.is(
    error?.message,
    'failed to allocate for range 1: no IP addresses available in range set: fd00::1-fd00::3, all 2 are taken',
  );
  t.deepEqual({ leases: leasesIn(place), index: indexOf(place) }, before);
  t.deepEqual(strayFiles(place), []);
});

test('a free address is found behind a long row of taken ones', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/23');
  mkdirSync(place.path, { recursive: true });
  for (const { ip } of candidates(sets[0] ?? []).slice(0, -1)) writeFileSync(`${place.path}/${ip}`, `c${ip}\r\neth0`);
  t.is(reserve(place, eth0('a'), sets)[0]?.ip.toString(), '10.1.1.254');
  t.throws(() => reserve(place, eth0('b'), sets), { message: /all 509 are taken/ });
  t.deepEqual(
    statistics(place, sets).map(({ capacity, taken }) => [capacity, taken]),
    [[509n, 509n]],
  );
});

test('an asked-for address is given; one that is taken is refused with who has it', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/24', 'fd00::/64');
  const given = reserve(place, eth0('a'), sets, [Ip.parse('fd00::88'), Ip.parse('10.1.0.88')]);
  t.deepEqual(
    given.map(({ ip }) => ip.toString()),
    ['10.1.0.88', 'fd00::88'],
  );
  const before = leasesIn(place);
  const error = t.throws(() => reserve(place, eth0('b'), sets, [Ip.parse('fd00::88')]));
  t.true(hasCode(error, 'address-in-use') && error.details?.endsWith('names container a'));
  t.is(
    error?.message,
    'failed to allocate for range 1: requested IP address fd00::88 is not available in range set fd00::1-fd00::ffff:ffff:ffff:ffff',
  );
  t.deepEqual(leasesIn(place), before);
  // Round robin continues after the requested address, as in the reference plugin.
  t.is(reserve(place, eth0('c'), sets)[0]?.ip.toString(), '10.1.0.90');
});

test('gc frees what is not listed, and only that', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/24');
  for (const id of ['a', 'b', 'c']) reserve(place, eth0(id), sets);
  reserve(place, { containerId: 'a', ifname: 'eth1' }, sets);
  t.deepEqual([...gc(place, [eth0('a'), eth0('c')])].sort(), ['10.1.0.3', '10.1.0.5']);
  t.deepEqual(leasesIn(place), { '10.1.0.2': 'a\r\neth0', '10.1.0.4': 'c\r\neth0' });
  t.deepEqual(indexOf(place), { 'a:eth0': '10.1.0.2', 'c:eth0': '10.1.0.4' });
  t.deepEqual([...gc(place, [])].sort(), ['10.1.0.2', '10.1.0.4']);
});

test('a damaged lease is reported by name, and neither given, overwritten nor removed', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/29');
  mkdirSync(`${place.path}/10.1.0.4`, { recursive: true });
  const garbage = Buffer.from([0, 1, 2, 0xff, 10, 10, 10]);
  writeFileSync(`${place.path}/10.1.0.2`, garbage);
  writeFileSync(`${place.path}/10.1.0.3`, 'a\r\neth0\r\nmore');
  t.is(reserve(place, eth0('a'), sets)[0]?.ip.toString(), '10.1.0.5');
  for (const [ip, why] of [
    ['10.1.0.2', 'its first line is not the id of a container'],
    ['10.1.0.3', 'it has more than two lines'],
    ['10.1.0.4', 'it is not a file, EISDIR'],
  ]) {
    t.true(
      place.warnings.some((warning) => warning.includes(`"${place.path}/${ip}" is: ${why}`)),
      `${ip} ${place.warnings}`,
    );
  }
  t.deepEqual(gc(place, []), ['10.1.0.5']);
  t.deepEqual(readFileSync(`${place.path}/10.1.0.2`), garbage);
  t.throws(() => reserve(place, eth0('b'), sets, [Ip.parse('10.1.0.2')]), { message: /is not available/ });
});

test('a lease that was damaged behind our back is reported at DEL, and stays', (t) => {
  const place = placeFor(t);
  reserve(place, eth0('a'), setsOf('10.1.0.0/29'));
  writeFileSync(`${place.path}/10.1.0.2`, '\0\0\0');
  t.deepEqual(release(place, eth0('a')), []);
  t.regex(place.warnings.join('\n'), /10\.1\.0\.2" is: its first line is not the id/);
  t.deepEqual(Object.keys(leasesIn(place)), ['10.1.0.2']);
});

test('an empty lease is reclaimed: at DEL, when it is asked for, and when nothing else is free', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/29');
  reserve(place, eth0('a'), sets);
  writeFileSync(`${place.path}/10.1.0.2`, '');
  release(place, eth0('a'));
  t.deepEqual(leasesIn(place), {});
  for (const id of ['b', 'c', 'd', 'e', 'f']) reserve(place, eth0(id), sets);
  writeFileSync(`${place.path}/10.1.0.4`, '');
  t.is(reserve(place, eth0('g'), sets, [Ip.parse('10.1.0.4')])[0]?.ip.toString(), '10.1.0.4');
  writeFileSync(`${place.path}/10.1.0.5`, '');
  t.is(reserve(place, eth0('h'), sets)[0]?.ip.toString(), '10.1.0.5');
});

test('what another program does to the directory is noticed, even within one tick of the clock', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/24');
  for (let i = 0; i < 100; i++) {
    reserve(place, eth0('ours'), sets);
    writeFileSync(`${place.path}/10.1.0.200`, 'theirs\r\neth0');
    t.deepEqual(find(place, eth0('theirs')).map(String), ['10.1.0.200']);
    release(place, eth0('ours'));
    rmSync(`${place.path}/10.1.0.200`);
    t.deepEqual(find(place, eth0('theirs')), []);
  }
});

test('a directory made anew under the same path is not taken for the old one', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/24');
  reserve(place, eth0('a'), sets);
  const { mtime, atime } = statSync(place.path);
  rmSync(place.path, { recursive: true });
  mkdirSync(place.path);
  writeFileSync(`${place.path}/10.1.0.9`, 'b\r\neth0');
  utimesSync(place.path, atime, mtime);
  t.deepEqual(find(place, eth0('b')).map(String), ['10.1.0.9']);
  t.deepEqual(find(place, eth0('a')), []);
});

test('without an index everything works, and says that it is slow', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/24');
  writeFileSync(place.state, 'in the way');
  reserve(place, eth0('a'), sets);
  reserve(place, eth0('b'), sets);
  t.throws(() => reserve(place, eth0('a'), sets), { message: /duplicate allocation/ });
  t.deepEqual(release(place, eth0('a')), ['10.1.0.2']);
  t.deepEqual(leasesIn(place), { '10.1.0.3': 'b\r\neth0' });
  t.regex(place.warnings[0] ?? '', /Cannot keep the index of .*ENOTDIR/);
});

test('ids of any length have their place in the index', (t) => {
  const place = placeFor(t);
  const sets = setsOf('10.1.0.0/24');
  const long = 'x'.repeat(300);
  reserve(place, eth0(`${long}1`), sets);
  reserve(place, eth0(`${long}2`), sets);
  t.is(Object.keys(indexOf(place)).filter((name) => /^#[0-9a-f]{32}$/.test(name)).length, 2);
  t.deepEqual(release(place, eth0(`${long}2`)), ['10.1.0.3']);
  t.deepEqual(find(place, eth0(`${long}1`)).map(String), ['10.1.0.2']);
});

type Step =
  | { readonly verb: 'reserve' | 'release'; readonly who: number }
  | { readonly verb: 'gc'; readonly who: number };

test('property: leases and index are what a simple model of them says, whatever is done in which order', (t) => {
  const step: fc.Arbitrary<Step> = fc.record({
    verb: fc.constantFrom('reserve', 'reserve', 'release', 'gc'),
    who: fc.nat(7),
  });
  fc.assert(
    fc.property(rangeSet, fc.array(step, { maxLength: 30 }), (set, steps) => {
      const place = placeAt(mkdtempSync(join(tmpdir(), 'netloom-model-')));
      try {
        const model = new Map<string, string>();
        let last: Ip | undefined;
        for (const { verb, who } of steps) {
          const owner = eth0(`c${who}`);
          const held = model.get(owner.containerId);
          if (verb === 'gc') {
            gc(place, [owner]);
            model.clear();
            if (held !== undefined) model.set(owner.containerId, held);
          } else if (verb === 'release') {
            t.deepEqual(release(place, owner), held === undefined ? [] : [held]);
            model.delete(owner.containerId);
          } else {
            const taken = new Set(model.values());
            const next = candidates(set, last).find(({ ip }) => !taken.has(ip.toString()));
            if (held !== undefined) t.throws(() => reserve(place, owner, [set]), { message: /duplicate/ });
            else if (next === undefined) t.throws(() => reserve(place, owner, [set]), { message: /no IP addresses/ });
            else {
              t.true(reserve(place, owner, [set])[0]?.ip.equals(next.ip));
              model.set(owner.containerId, next.ip.toString());
              last = next.ip;
            }
          }
          for (let i = 0; i < 8; i++) {
            const ip = model.get(`c${i}`);
            t.deepEqual(find(place, eth0(`c${i}`)).map(String), ip === undefined ? [] : [ip]);
          }
        }
        t.deepEqual(place.warnings, []);
      } finally {
        rmSync(place.root, { recursive: true });
      }
    }),
    { numRuns: 60 },
  );
});
