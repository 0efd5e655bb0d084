/** `netloom install` replaces files that runtimes are executing at that moment. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { makeRoot } from '../support/host.ts';
import { BIN } from '../support/lab.ts';
import { until } from '../support/until.ts';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));

function directory(t: { teardown(undo: () => void): void }): string {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  return path;
}

test('an install over one that had no netloom-cni fails no call', async (t) => {
  const bin = directory(t);
  // The old programs print an empty line.
  for (const program of ['netloom', 'netloom-shim']) copyFileSync('/bin/echo', join(bin, program));
  for (const type of readdirSync(BIN)) symlinkSync('netloom-shim', join(bin, type));
  const calls = join(bin, 'calls');
  const loop = 'until [ -e stop ]; do CNI_COMMAND=VERSION ./bridge 2>&1 | tr -d "\\n "; echo; done >calls';
  const runtime = spawn('sh', ['-c', loop], { cwd: bin, stdio: 'ignore' });
  const ended = new Promise((resolve) => runtime.on('close', resolve));
  await until('a call is over', () => existsSync(calls) && readFileSync(calls).length > 0);
  execFileSync(join(DIST, 'netloom'), ['install', '--bin', bin]);
  const before = readFileSync(calls).length;
  await until('a call of the new one is over', () => readFileSync(calls).length > before + 200);
  writeFileSync(join(bin, 'stop'), '');
  await ended;
  const said = new Set(readFileSync(calls, 'utf8').slice(0, -1).split('\n'));
  t.is(said.size, 2, [...said].join('\n'));
  t.true(said.delete(''));
  t.regex([...said][0] ?? '', /"supportedVersions"/);
  t.deepEqual(
    readdirSync(bin).filter((name) => name.endsWith('.before-netloom') || name.endsWith('.tmp')),
    [],
  );
});

test('a program is on the disk before it has its name: a loss of power leaves none that is empty', (t) => {
  const [bin, log] = [directory(t), join(directory(t), 'log')];
  const calls = 'trace=fsync,rename,renameat,renameat2';
  const traced = ['-f', '-qq', '-y', '-o', log, '-e', calls, '-e', 'signal=none'];
  execFileSync('strace', [...traced, join(DIST, 'netloom'), 'install', '--bin', bin]);
  const lines = readFileSync(log, 'utf8').split('\n');
  for (const program of ['netloom', 'netloom-shim', 'netloom-cni']) {
    const synced = lines.findIndex((line) => line.includes('fsync(') && line.includes(`/${program}.`));
    const named = lines.findIndex((line) => line.includes('rename') && line.includes(`/${program}"`));
    t.true(synced >= 0 && synced < named, `${program}: ${synced}, ${named}\n${lines.join('\n')}`);
  }
});

test('a shim that has no netloom-cni beside it is not installed, nor is anything else', (t) => {
  const [built, bin] = [directory(t), directory(t)];
  for (const program of ['netloom', 'netloom-shim']) linkSync(join(DIST, program), join(built, program));
  mkdirSync(bin, { recursive: true });
  const { status, stderr } = spawnSync(join(built, 'netloom'), ['install', '--bin', bin], { encoding: 'utf8' });
  t.not(status, 0);
  t.regex(stderr, /Cannot use ".*\/netloom-shim" for the plugins: "netloom-cni" is missing beside it/);
  t.deepEqual(readdirSync(bin), []);
});

test('a directory that is none is named, and not taken for a fault of netloom', (t) => {
  const path = directory(t);
  writeFileSync(join(path, 'file'), '');
  const bin = join(path, 'file/bin');
  const { status, stderr } = spawnSync(join(DIST, 'netloom'), ['install', '--bin', bin], { encoding: 'utf8' });
  t.is(status, 1);
  t.is(stderr, `netloom: ENOTDIR: not a directory, mkdir '${bin}'\n`);
});

test('uninstall says what it has removed, and where there was nothing', (t) => {
  const bin = directory(t);
  const netloom = (...args: string[]) =>
    execFileSync(join(DIST, 'netloom'), [...args, '--bin', bin], { encoding: 'utf8' });
  netloom('install');
  t.is(netloom('uninstall'), `removed ${readdirSync(BIN).length} plugins from ${bin}\n`);
  t.is(netloom('uninstall'), `none of the plugins in ${bin} is netloom's\n`);
});
