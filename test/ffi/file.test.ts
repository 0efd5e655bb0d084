import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { removeDirectory, tryList } from '../../src/ffi/directory.ts';
import * as file from '../../src/ffi/file.ts';
import { trySetMtime, tryTouch } from '../../src/ffi/mtime.ts';
import { becomeHost } from '../support/host.ts';

// The test mounts small and read-only file systems. They go with the process.
becomeHost();

const dir = mkdtempSync(join(tmpdir(), 'netloom-test-'));
const mounts: string[] = [];
test.after.always(() => {
  for (const path of mounts) execFileSync('umount', [path]);
  rmSync(dir, { recursive: true, force: true });
});

function place(name: string): string {
  const path = join(dir, name);
  mkdirSync(path);
  return path;
}

/** Mounts a file system with limited space. */
function mounted(name: string, options: string): string {
  const path = place(name);
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  mounts.push(path);
  return path;
}

const NAMES = [
  'plain',
  'with space',
  'ünïcødé',
  '\u{1F310}',
  'quote"quote',
  '-dash',
  'new\nline',
  '\uFEFFmark',
  'x'.repeat(255),
];

test('text of any length comes back as it was written', (t) => {
  const path = join(place('text'), 'file');
  for (const length of [0, 1, 8191, 8192, 8193, 32768, 100_000]) {
    file.replaceText(path, 'x'.repeat(length));
    t.is(file.readText(path).length, length);
  }
  for (const text of ['\uFEFFmark', 'ü\u{1F310}\0', '']) {
    file.replaceText(path, text);
    t.is(file.readText(path), text);
  }
});

test('names with spaces, quotes, line ends and any script are names', (t) => {
  const path = place('names');
  for (const name of NAMES.filter((each) => each.length < 200)) {
    file.replaceText(join(path, name), name);
    t.is(file.readText(join(path, name)), name);
    t.true(existsSync(join(path, name)));
  }
  t.deepEqual(tryList(path)?.sort(), NAMES.filter((each) => each.length < 200).sort());
});

test('a directory of 5000 names is listed whole', (t) => {
  const path = place('many');
  const names = Array.from({ length: 5000 }, (_, i) => `${i}-${'x'.repeat(i % 200)}`);
  for (const name of names) writeFileSync(join(path, name), '');
  t.deepEqual(tryList(path)?.sort(), names.sort());
});

test('tryList tells no directory from an empty one, and from a file', (t) => {
  const path = place('list');
  t.deepEqual(tryList(path), []);
  t.is(tryList(join(path, 'missing')), undefined);
  writeFileSync(join(path, 'file'), '');
  t.throws(() => tryList(join(path, 'file')), { code: 'ENOTDIR' });
});

test('readText names the file that is missing, tryReadText does not mind', (t) => {
  const path = join(place('missing'), 'file');
  t.throws(() => file.readText(path), { message: `Cannot open "${path}": ENOENT, no such file or directory` });
  t.is(file.tryReadText(path), undefined);
  t.is(file.tryReadText(join(path, 'below')), undefined);
  writeFileSync(path, '');
  t.is(file.tryReadText(join(path, 'below')), undefined);
});

test('a directory is not a file', (t) => {
  t.throws(() => file.readText(dir), { message: `Cannot read "${dir}": EISDIR, is a directory` });
});

test('readAll stops at its limit and not a byte before', (t) => {
  const path = join(place('limit'), 'file');
  writeFileSync(path, 'x'.repeat(10_000));
  const read = (limit: number) => {
    using fd = file.open(path);
    return file.readAll(fd.number, `"${path}"`, limit).length;
  };
  t.is(read(10_000), 10_000);
  t.is(read(20_000), 10_000);
  t.throws(() => read(9_999), { message: `Cannot read "${path}", it has more than 9999 bytes: EFBIG, file too large` });
  t.throws(() => read(10), { code: 'EFBIG' });
  using zero = file.open('/dev/zero');
  t.throws(() => file.readAll(zero.number, 'zeros'), { code: 'EFBIG' });
});

test('replaceText gives the file the mode that it is told, and leaves nothing beside it', (t) => {
  const path = place('mode');
  file.replaceText(join(path, 'secret'), 'x');
  file.replaceText(join(path, 'public'), 'x', 0o644);
  t.is(statSync(join(path, 'secret')).mode & 0o777, 0o600);
  t.is(statSync(join(path, 'public')).mode & 0o777, 0o644);
  file.replaceText(join(path, 'secret'), 'y');
  t.deepEqual(readdirSync(path).sort(), ['public', 'secret']);
});

test('replaceText puts a new file in place: who has the old one open reads the old content', (t) => {
  const path = join(place('atomic'), 'file');
  file.replaceText(path, 'old');
  using fd = file.open(path);
  file.replaceText(path, 'new');
  t.is(new TextDecoder().decode(file.readAll(fd.number, 'the old file')), 'old');
  t.is(file.readText(path), 'new');
});

test('replaceText on a full disk leaves the old content and nothing beside it', (t) => {
  const path = mounted('full', 'size=64k');
  file.replaceText(join(path, 'file'), 'old');
  const error = t.throws(() => file.replaceText(join(path, 'file'), 'x'.repeat(200_000)), { code: 'ENOSPC' });
  t.regex(error?.message ?? '', /^Cannot write ".*": ENOSPC, no space left on the device$/);
  t.is(file.readText(join(path, 'file')), 'old');
  t.deepEqual(readdirSync(path), ['file']);
  // There is space again.
  file.replaceText(join(path, 'file'), 'x'.repeat(20_000));
});

test('replaceText without a free inode leaves the old content', (t) => {
  const path = mounted('inodes', 'nr_inodes=3');
  file.replaceText(join(path, 'a'), 'old');
  writeFileSync(join(path, 'b'), '');
  t.throws(() => file.replaceText(join(path, 'a'), 'new'), { code: 'ENOSPC' });
  t.is(file.readText(join(path, 'a')), 'old');
});

test('replaceText says where a file system is read only, a directory missing, or in the way', (t) => {
  const path = mounted('readonly', 'size=64k');
  writeFileSync(join(path, 'file'), 'old');
  execFileSync('mount', ['-o', 'remount,ro', path]);
  t.throws(() => file.replaceText(join(path, 'file'), 'new'), { code: 'EROFS' });
  t.is(file.readText(join(path, 'file')), 'old');
  t.throws(() => file.replaceText(join(dir, 'no', 'file'), 'new'), { code: 'ENOENT' });
  const taken = place('taken');
  mkdirSync(join(taken, 'file'));
  t.throws(() => file.replaceText(join(taken, 'file'), 'new'), { code: 'EISDIR' });
  t.deepEqual(readdirSync(taken), ['file']);
});

test('writeAll says that a device is full', (t) => {
  using fd = file.open('/dev/full', file.O.WRONLY);
  t.throws(() => file.writeAll(fd.number, Uint8Array.of(1), 'the full device'), {
    message: 'Cannot write the full device: ENOSPC, no space left on the device',
  });
});

test('makeDirectories makes what is missing, whatever the path looks like', (t) => {
  const path = place('make');
  const home = process.cwd();
  process.chdir(path);
  try {
    for (const [each, made] of [
      ['one', 'one'],
      ['two/three', 'two/three'],
      ['four/five/', 'four/five'],
      ['six//seven///', 'six/seven'],
      ['./eight/nine', 'eight/nine'],
      ['two/../ten', 'ten'],
      ['with space/ünï', 'with space/ünï'],
      [`${path}/absolute/below/`, 'absolute/below'],
    ] as const) {
      file.makeDirectories(each);
      t.true(statSync(join(path, made)).isDirectory(), each);
      t.notThrows(() => file.makeDirectories(each), `${each} again`);
    }
    for (const there of ['/', '//', '.', '..', './']) t.notThrows(() => file.makeDirectories(there), there);
  } finally {
    process.chdir(home);
  }
  file.makeDirectories(join(path, 'private/deep'), 0o700);
  t.is(statSync(join(path, 'private')).mode & 0o777, 0o700);
  t.is(statSync(join(path, 'private/deep')).mode & 0o777, 0o700);
});

test('makeDirectories follows a link, and says what is in the way', (t) => {
  const path = place('way');
  writeFileSync(join(path, 'file'), '');
  symlinkSync('file', join(path, 'to-file'));
  symlinkSync('nowhere', join(path, 'dangling'));
  mkdirSync(join(path, 'real'));
  symlinkSync('real', join(path, 'to-directory'));
  file.makeDirectories(join(path, 'to-directory', 'below'));
  t.true(existsSync(join(path, 'real', 'below')));
  t.throws(() => file.makeDirectories(join(path, 'file')), { code: 'EEXIST' });
  t.throws(() => file.makeDirectories(join(path, 'to-file')), { code: 'EEXIST' });
  t.throws(() => file.makeDirectories(join(path, 'dangling')), { code: 'EEXIST' });
  t.throws(() => file.makeDirectories(join(path, 'file', 'below')), { code: 'ENOTDIR' });
  t.throws(() => file.makeDirectories(''), { code: 'ENOENT' });
});

test('directoryOf is what a path is in', (t) => {
  for (const [path, above] of [
    ['/a/b', '/a'],
    ['/a/b/', '/a'],
    ['/a//b', '/a'],
    ['/a', '/'],
    ['//a', '/'],
    ['a/b', 'a'],
    ['a', undefined],
    ['/', undefined],
    ['', undefined],
  ] as const) {
    t.is(file.directoryOf(path), above, path);
  }
});

test('tryStat says type, size, owner and time as node does', (t) => {
  const path = place('stat');
  writeFileSync(join(path, 'file'), 'x'.repeat(1234));
  symlinkSync('file', join(path, 'link'));
  chmodSync(join(path, 'file'), 0o640);
  const ours = file.tryStat(join(path, 'file'));
  const theirs = statSync(join(path, 'file'), { bigint: true });
  t.like(ours, { ino: theirs.ino, mode: Number(theirs.mode), uid: 0, size: 1234, mtime: theirs.mtimeNs });
  t.true(ours !== undefined && file.isRegular(ours) && !file.isDirectory(ours));
  const directory = file.tryStat(path);
  t.true(directory !== undefined && file.isDirectory(directory) && !file.isRegular(directory));
  t.is(file.tryStat(join(path, 'link'))?.ino, theirs.ino);
  t.not(file.tryStat(join(path, 'link'), { follow: false })?.ino, theirs.ino);
  t.is(file.tryStat(join(path, 'missing')), undefined);
  using fd = file.open(join(path, 'file'));
  t.deepEqual(file.statFd(fd.number), ours);
});

test('trySetMtime sets a time to the nanosecond', (t) => {
  const path = join(place('mtime'), 'file');
  writeFileSync(path, '');
  fc.assert(
    fc.property(fc.bigInt(0n, 4_000_000_000_000_000_000n), (mtime) => {
      t.true(trySetMtime(path, mtime));
      t.is(file.tryStat(path)?.mtime, mtime);
    }),
    { numRuns: 50 },
  );
  t.false(trySetMtime(join(dir, 'no-such-file'), 0n));
});

test('tryTouch sets the present time', (t) => {
  const path = join(place('touch'), 'file');
  writeFileSync(path, '');
  trySetMtime(path, 0n);
  t.true(tryTouch(path));
  t.true(Math.abs(Date.now() - Number((file.tryStat(path)?.mtime ?? 0n) / 1_000_000n)) < 60_000);
  t.false(tryTouch(join(dir, 'no-such-file')));
});

test('links are made, read, and refused where the name is taken', (t) => {
  const path = place('links');
  const target = join(path, 'target');
  writeFileSync(target, 'x');
  t.true(file.trySymlink('tärget with space', join(path, 'soft')));
  t.false(file.trySymlink('other', join(path, 'soft')));
  t.is(readlinkSync(join(path, 'soft')), 'tärget with space');
  t.is(file.tryReadlink(join(path, 'soft')), 'tärget with space');
  t.is(file.tryReadlink(join(path, 'missing')), undefined);
  t.throws(() => file.tryReadlink(target), { code: 'EINVAL' });
  t.true(file.tryLink(target, join(path, 'hard')));
  t.false(file.tryLink(target, join(path, 'hard')));
  t.is(readFileSync(join(path, 'hard'), 'utf8'), 'x');
  t.throws(() => file.tryLink(join(path, 'missing'), join(path, 'other')), { code: 'ENOENT' });
});

test('unlink, rename and removeDirectory say whether something was there', (t) => {
  const path = place('remove');
  writeFileSync(join(path, 'a'), '');
  file.rename(join(path, 'a'), join(path, 'b'));
  t.true(file.unlink(join(path, 'b')));
  t.false(file.unlink(join(path, 'b')));
  t.throws(() => file.unlink(path), { code: 'EISDIR' });
  t.throws(() => file.rename(join(path, 'a'), join(path, 'b')), { code: 'ENOENT' });
  t.true(removeDirectory(path));
  t.false(removeDirectory(path));
  t.throws(() => removeDirectory(dir), { code: 'ENOTEMPTY' });
});

test('a lock is held by one open file at a time and falls with it', (t) => {
  const path = join(place('lock'), 'lock');
  writeFileSync(path, '');
  const isFree = () => {
    try {
      execFileSync('flock', ['--nonblock', path, 'true'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  {
    using fd = file.open(path);
    file.lock(fd.number, path);
    t.false(isFree());
    file.unlock(fd.number);
    t.true(isFree());
    file.lock(fd.number, path);
    t.false(isFree());
  }
  t.true(isFree());
});

test('a descriptor is closed once, and does not live on in programs that are started', (t) => {
  const fd = file.open(dir);
  const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd.number}`, 'utf8'))?.[1] ?? '0';
  t.not(Number.parseInt(flags, 8) & file.O.CLOEXEC, 0);
  const { number } = fd;
  fd.close();
  using other = file.open(dir);
  t.is(other.number, number);
  fd.close();
  t.notThrows(() => file.statFd(other.number));
  t.is(fd.number, -1);
});
