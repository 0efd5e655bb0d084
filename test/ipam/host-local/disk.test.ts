/** Disks that are full or read-only, in a mount namespace of their own. Needs root. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import test from 'ava';
import { placeFor } from './place.ts';
import { work } from './processes.ts';

const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;
/** A test that cannot run is reported and counted. */
const withMounts = canMount ? test : test.skip;

/** Wraps a command: runs a script before it, in a private mount namespace. */
const inMounts = (script: string) => ['unshare', '-m', 'sh', '-c', `${script} && exec "$@"`, 'sh'];

withMounts('a full disk: ADD says so and leaves nothing, DEL frees the lease, and then there is room', async (t) => {
  const { root, path } = placeFor(t);
  mkdirSync(path, { recursive: true });
  // A tmpfs of 16 inodes with 4 left: the lock, the temporary file, its second name (which tmpfs counts too),
  // last_reserved_ip.
  const fill = `mount -t tmpfs -o nr_inodes=16 none ${path} && for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do : > ${path}/x$i; done 2> /dev/null; rm ${path}/x1 ${path}/x2 ${path}/x3 ${path}/x4`;
  const end = await work(root, 'a', ['reserve', 'release', 'find'], '10.1.0.0/24', inMounts(fill));
  t.is(end.stderr, '');
  t.deepEqual(end.lines, [['10.1.0.2'], ['10.1.0.2'], []]);
  const faults = [
    [3, `Cannot open "${path}/.netloom.tmp": ENOSPC, no space left on the device`],
    [2, `Cannot link "${path}/10.1.0.2" to "${path}/.netloom.tmp": ENOSPC, no space left on the device`],
    [1, `Cannot open "${path}/last_reserved_ip.0": ENOSPC, no space left on the device`],
  ] as const;
  for (const [more, error] of faults) {
    const fillMore = `${fill}; for i in $(seq ${more}); do : > ${path}/y$i; done`;
    const { lines } = await work(root, 'a', ['reserve', 'find'], '10.1.0.0/24', inMounts(fillMore));
    t.deepEqual(lines, [{ error }, []]);
  }
});

withMounts('a disk that is read-only: ADD says so, CHECK goes on', async (t) => {
  const { root } = placeFor(t);
  const first = await work(root, 'a', ['reserve'], '10.1.0.0/24');
  t.deepEqual(first.lines, [['10.1.0.2']]);
  const end = await work(
    root,
    'b',
    ['reserve', 'release'],
    '10.1.0.0/24',
    inMounts(`mount --bind ${root} ${root} && mount -o remount,bind,ro ${root}`),
  );
  t.deepEqual(end.lines, [
    { error: `Cannot open "${root}/networks/net/.netloom.tmp": EROFS, read-only file system` },
    [],
  ]);
  const check = await work(
    root,
    'a',
    ['find', 'release'],
    '10.1.0.0/24',
    inMounts(`mount --bind ${root} ${root} && mount -o remount,bind,ro ${root}`),
  );
  t.deepEqual(check.lines, [
    ['10.1.0.2'],
    { error: `Cannot remove "${root}/networks/net/10.1.0.2": EROFS, read-only file system` },
  ]);
});

withMounts('an index on a full disk costs time, not leases', async (t) => {
  const { root, path } = placeFor(t);
  const state = `${root}/state`;
  mkdirSync(state);
  const full = inMounts(`mount -t tmpfs -o nr_inodes=1 none ${state}`);
  const end = await work(root, 'a', ['reserve', 'find', 'reserve', 'release', 'find'], '10.1.0.0/24', full);
  t.deepEqual(end.lines, [
    ['10.1.0.2'],
    ['10.1.0.2'],
    { error: 'failed to allocate for range 0: 10.1.0.2 has been allocated to a, duplicate allocation is not allowed' },
    ['10.1.0.2'],
    [],
  ]);
  t.is(execFileSync('ls', [path], { encoding: 'utf8' }), 'last_reserved_ip.0\nlock\n');
});
