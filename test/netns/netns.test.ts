/** Network namespaces: opening, comparing and pinning them, and coming back from them. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { NetloomError } from '../../src/error.ts';
import { statFd } from '../../src/ffi/file.ts';
import { readSysctl, writeSysctl } from '../../src/net/sysctl.ts';
import { OWN_NETNS, openNetns, ownNetns, tryOpenNetns } from '../../src/netns/namespace.ts';
import { pinAt, pinNew, unpin } from '../../src/netns/pin.ts';
import { withNetns } from '../../src/netns/within.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost } from '../support/host.ts';

becomeHost();

const dir = mkdtempSync(join(tmpdir(), 'netloom-test-'));
test.after.always(() => rmSync(dir, { recursive: true, force: true }));

const own = () => readlinkSync(OWN_NETNS);

/** A pinned namespace for one test. */
function pinned(name: string): { readonly path: string } & Disposable {
  const path = join(dir, name);
  pinNew(path);
  return { path, [Symbol.dispose]: () => void unpin(path) };
}

function refusal(path: string): string {
  try {
    openNetns(path)[Symbol.dispose]();
  } catch (error) {
    if (error instanceof NetloomError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return '';
}

test('pinNew makes an empty namespace and leaves this thread where it is', (t) => {
  const before = own();
  using pin = pinned('new');
  t.is(own(), before);
  using netns = openNetns(pin.path);
  using nl = withNetns(netns, () => openRoute());
  t.deepEqual(
    link.list(nl).map(({ name }) => name),
    ['lo'],
  );
  t.is(execFileSync('findmnt', ['-no', 'FSTYPE', pin.path], { encoding: 'utf8' }).trim(), 'nsfs');
});

test('pinNew makes the directories above, and leaves what is there alone', (t) => {
  using pin = pinned('a b/ü/deep');
  t.true(existsSync(pin.path));
  const file = join(dir, 'file');
  writeFileSync(file, 'mine');
  t.throws(() => pinNew(file), { code: 'EEXIST' });
  t.is(readFileSync(file, 'utf8'), 'mine');
  const before = own();
  t.throws(() => pinNew(join(file, 'below')), { code: 'EEXIST' });
  t.is(own(), before);
});

test('pinNew takes a path without a directory', (t) => {
  const home = process.cwd();
  process.chdir(dir);
  try {
    pinNew('bare');
    t.is(refusal('bare'), '');
    t.true(unpin('bare'));
    t.false(existsSync(join(dir, 'bare')));
  } finally {
    process.chdir(home);
  }
});

test('unpin removes the pin; a namespace that is open lives on', (t) => {
  const path = join(dir, 'unpin');
  pinNew(path);
  using netns = openNetns(path);
  using nl = withNetns(netns, () => openRoute());
  t.true(unpin(path));
  t.false(existsSync(path));
  t.is(link.list(nl).length, 1);
  t.is(withNetns(netns, own), `net:[${netns.id.split('/')[1]}]`);
});

test('unpin says where nothing was pinned, and removes no file but an empty one', (t) => {
  t.false(unpin(join(dir, 'nothing')));
  const file = join(dir, 'precious');
  writeFileSync(file, 'content');
  t.false(unpin(file));
  t.is(readFileSync(file, 'utf8'), 'content');
  mkdirSync(join(dir, 'directory'));
  t.false(unpin(join(dir, 'directory')));
  const stale = join(dir, 'stale');
  writeFileSync(stale, '');
  t.true(unpin(stale));
  t.false(existsSync(stale));
});

test('pinAt pins a namespace at a second path', (t) => {
  using pin = pinned('first');
  const second = join(dir, 'second');
  writeFileSync(second, '');
  pinAt(pin.path, second);
  using a = openNetns(pin.path);
  using b = openNetns(second);
  t.true(a.isSameAs(b));
  t.true(unpin(second));
});

test('two paths of one namespace are equal, and two namespaces are not', (t) => {
  using pin = pinned('equal');
  using other = pinned('other');
  const alias = join(dir, 'alias');
  symlinkSync(pin.path, alias);
  using a = openNetns(pin.path);
  using b = openNetns(alias);
  using c = openNetns(other.path);
  using here = ownNetns();
  using process = openNetns('/proc/self/ns/net');
  t.is(a.id, b.id);
  t.true(a.isSameAs(b));
  t.false(a.isSameAs(c));
  t.false(a.isSameAs(here));
  t.true(here.isSameAs(process));
  t.is(
    withNetns(a, () => {
      using inside = ownNetns();
      return inside.id;
    }),
    a.id,
  );
});

test('openNetns refuses what is not there, with the path', (t) => {
  const missing = join(dir, 'missing');
  t.is(refusal(missing), `no-namespace: Cannot open the network namespace "${missing}": there is no such file`);
  t.is(tryOpenNetns(missing), undefined);
  t.is(tryOpenNetns('/proc/999999999/ns/net'), undefined);
});

test('openNetns refuses an ordinary file, a directory, another kind of namespace, and a pipe that would block', (t) => {
  const file = join(dir, 'ordinary');
  writeFileSync(file, 'x');
  const pipe = join(dir, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [file, dir, '/proc/self/ns/mnt', '/proc/self/ns/user', pipe, '/dev/null']) {
    t.is(refusal(path), `not-a-namespace: Cannot use "${path}" as a network namespace: it is something else`);
  }
});

test('a namespace closes its descriptor at the end of its scope', (t) => {
  using pin = pinned('closes');
  const netns = openNetns(pin.path);
  const { fd } = netns;
  t.notThrows(() => statFd(fd));
  netns[Symbol.dispose]();
  t.throws(() => statFd(fd), { code: 'EBADF' });
});

test('withNetns returns what the function returns and comes back', (t) => {
  using pin = pinned('back');
  using netns = openNetns(pin.path);
  const before = own();
  t.is(withNetns(netns, own), `net:[${netns.id.split('/')[1]}]`);
  t.is(own(), before);
});

test('withNetns comes back after a throw', (t) => {
  using pin = pinned('throws');
  using netns = openNetns(pin.path);
  const before = own();
  t.throws(
    () =>
      withNetns(netns, () => {
        throw new Error('inside');
      }),
    { message: 'inside' },
  );
  t.is(own(), before);
});

test('withNetns goes into one namespace from within another, and back step by step', (t) => {
  using outer = pinned('outer');
  using inner = pinned('inner');
  using a = openNetns(outer.path);
  using b = openNetns(inner.path);
  const before = own();
  const [first, second, third] = withNetns(a, () => [own(), withNetns(b, own), own()]);
  t.is(new Set([before, first, second]).size, 3);
  t.is(third, first);
  t.is(own(), before);
});

test('withNetns says which namespace it cannot enter', (t) => {
  using pin = pinned('closed');
  const netns = openNetns(pin.path);
  netns[Symbol.dispose]();
  t.throws(() => withNetns(netns, () => 1), {
    code: 'EBADF',
    message: `Cannot enter the network namespace "${pin.path}": EBADF, bad file descriptor`,
  });
});

test('settings are those of the namespace that the thread is in', (t) => {
  using pin = pinned('sysctl');
  using netns = openNetns(pin.path);
  const key = 'net/ipv4/ip_forward';
  const before = readSysctl(key);
  withNetns(netns, () => writeSysctl(key, before === '1' ? '0' : '1'));
  t.is(readSysctl(key), before);
  t.not(
    withNetns(netns, () => readSysctl(key)),
    before,
  );
});

test('a socket that was opened inside stays there', (t) => {
  using pin = pinned('socket');
  using netns = openNetns(pin.path);
  using nl = withNetns(netns, () => openRoute());
  nl.execute(link.add({ name: 'stays0', linkinfo: { kind: 'bridge' } }));
  t.deepEqual(
    link.list(nl).map(({ name }) => name),
    ['lo', 'stays0'],
  );
  using here = openRoute();
  t.is(link.find(here, { name: 'stays0' }), undefined);
});

test('a function that returns a promise does not pass the types', (t) => {
  const root = new URL('../../', import.meta.url).pathname;
  const lines = [
    `import type { Netns } from '${root}src/netns/namespace.ts';`,
    `import { withNetns } from '${root}src/netns/within.ts';`,
    'declare const netns: Netns;',
    'export const good: number = withNetns(netns, () => 1);',
    'export const bad = withNetns(netns, async () => 1);',
    'export const alsoBad = withNetns(netns, () => ({ then() {} }) as PromiseLike<void>);',
  ];
  writeFileSync(join(dir, 'promise.mts'), lines.join('\n'));
  const compilerOptions = { typeRoots: [`${root}node_modules/@types`] };
  const config = { extends: `${root}tsconfig.json`, compilerOptions, include: [], files: ['promise.mts'] };
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config));
  const { stdout } = spawnSync(`${root}node_modules/.bin/tsc`, ['--noEmit', '-p', dir], { encoding: 'utf8' });
  const faults = stdout.split('\n').filter((line) => line.includes('error TS'));
  t.deepEqual(
    faults.map((line) => /promise\.mts\((\d+),/.exec(line)?.[1]),
    ['5', '6'],
    stdout,
  );
});
