/** The reference host-local works on the same directory. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { find, gc, release, reserve } from '../../../src/ipam/host-local/store.ts';
import { leasesIn, placeFor, setsOf, strayFiles, type TestPlace } from './place.ts';

const REFERENCE = '/usr/lib/cni/host-local';
const SUBNETS = ['10.1.0.0/28', 'fd00::/124'];
const SETS = setsOf(...SUBNETS);
const eth0 = (containerId: string) => ({ containerId, ifname: 'eth0' });

/** A test that cannot run is reported and counted. */
const withReference = existsSync(REFERENCE) ? test : test.skip;

function reference(place: TestPlace, command: 'ADD' | 'DEL' | 'CHECK', id: string): string[] | string {
  const conf = {
    cniVersion: '1.0.0',
    name: place.network,
    type: 'bridge',
    ipam: { type: 'host-local', dataDir: place.dataDir, ranges: SUBNETS.map((subnet) => [{ subnet }]) },
    prevResult: { cniVersion: '1.0.0' },
  };
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: '/some/where',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/usr/lib/cni',
  };
  try {
    const stdout = execFileSync(REFERENCE, { env, input: JSON.stringify(conf), encoding: 'utf8', stdio: 'pipe' });
    if (stdout === '') return [];
    return (JSON.parse(stdout).ips as { address: string }[]).map(({ address }) => address.replace(/\/.*/, ''));
  } catch (error) {
    return JSON.parse((error as { stdout: string }).stdout).msg;
  }
}

function ours(place: TestPlace, id: string): string[] {
  return reserve(place, eth0(id), SETS).map(({ ip }) => ip.toString());
}

withReference('by turns, each side goes on where the other has stopped, and wraps around as the other does', (t) => {
  const mixed = placeFor(t);
  const pure = placeFor(t);
  for (let i = 0; i < 40; i++) {
    const given = i % 3 === 0 ? reference(mixed, 'ADD', `c${i}`) : ours(mixed, `c${i}`);
    t.deepEqual(given, reference(pure, 'ADD', `c${i}`), `ADD ${i}`);
    t.deepEqual(leasesIn(mixed), leasesIn(pure));
    if (i < 5) continue;
    if (i % 2 === 0) reference(mixed, 'DEL', `c${i - 5}`);
    else release(mixed, eth0(`c${i - 5}`));
    reference(pure, 'DEL', `c${i - 5}`);
    t.deepEqual(leasesIn(mixed), leasesIn(pure), `DEL ${i - 5}`);
  }
  for (const file of ['last_reserved_ip.0', 'last_reserved_ip.1']) {
    t.is(readFileSync(`${mixed.path}/${file}`, 'utf8'), readFileSync(`${pure.path}/${file}`, 'utf8'));
  }
  t.deepEqual(strayFiles(mixed), []);
  t.deepEqual(mixed.warnings, []);
});

withReference(
  'each side sees the leases of the other: CHECK finds them, a second ADD is refused, DEL and GC free them',
  (t) => {
    const place = placeFor(t);
    ours(place, 'a');
    const theirs = reference(place, 'ADD', 'b');
    t.deepEqual(find(place, eth0('b')).map(String).sort(), [...theirs].sort());
    t.deepEqual(reference(place, 'CHECK', 'a'), []);
    const ourError = t.throws(() => ours(place, 'b'))?.message;
    t.is(
      ourError,
      'failed to allocate for range 0: 10.1.0.3 has been allocated to b, duplicate allocation is not allowed',
    );
    t.is(
      reference(place, 'ADD', 'a'),
      'failed to allocate for range 0: 10.1.0.2 has been allocated to a, duplicate allocation is not allowed',
    );
    reference(place, 'DEL', 'a');
    t.deepEqual(find(place, eth0('a')), []);
    t.deepEqual([...gc(place, [])].sort(), [...theirs].sort());
    t.is(reference(place, 'CHECK', 'b'), 'host-local: Failed to find address added by container b');
  },
);

withReference('a full set is full for both', (t) => {
  const place = placeFor(t);
  for (let i = 0; i < 13; i++) ours(place, `c${i}`);
  t.is(
    reference(place, 'ADD', 'late'),
    'failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.14',
  );
  t.throws(() => ours(place, 'late'), { message: /no IP addresses available in range set: 10\.1\.0\.1-10\.1\.0\.14/ });
  reference(place, 'DEL', 'c4');
  t.is(ours(place, 'late')[0], '10.1.0.6');
});

withReference('what we leave behind when killed does not disturb the reference', (t) => {
  const place = placeFor(t);
  mkdirSync(place.path, { recursive: true });
  writeFileSync(`${place.path}/.netloom.tmp`, 'a\r\neth0');
  t.deepEqual(reference(place, 'ADD', 'a'), ['10.1.0.2', 'fd00::2']);
  reference(place, 'DEL', 'a');
  t.deepEqual(strayFiles(place), []);
});
