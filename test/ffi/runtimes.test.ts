/**
 * One source, three runtimes: the agent and the command line run on Bun, executed plugins on QuickJS, the tests on
 * Node. What same.ts prints must be the same on all three.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { becomeHost } from '../support/host.ts';

becomeHost();

const root = fileURLToPath(new URL('../../', import.meta.url));
const script = join(root, 'test/ffi/same.ts');
const bun = join(root, 'node_modules/.bin/bun');

function succeeded(command: string, args: readonly string[]): { stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${status}\n${stderr}`);
  return { stdout, stderr };
}

/** What the script prints for an empty directory. */
function results(argumentsFor: (dir: string) => readonly [string, ...string[]]): Record<string, unknown> {
  const dir = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  try {
    const [command, ...args] = argumentsFor(dir);
    const { stdout, stderr } = succeeded(command, args);
    if (!stderr.endsWith('to stderr\n')) throw new Error(`${command}: stderr has ${JSON.stringify(stderr)}`);
    return JSON.parse(stdout);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * Runs the script, bundled like the plugins' programs (scripts/build-native.mjs), with the other things that it needs
 * from a process.
 */
function onQuickJs(): Record<string, unknown> {
  const work = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  try {
    const [bundled, prepared] = [join(work, 'same.js'), join(work, 'prepared.js')];
    const flags = ['--format=iife', '--target=browser', '--conditions=quickjs'];
    succeeded(bun, ['build', ...flags, script, '--outfile', bundled]);
    const globals = join(root, 'dist/.native/programs/quickjs-globals.js');
    return results((dir) => {
      writeFileSync(prepared, `process.argv = ['', '', ${JSON.stringify(dir)}]; process.pid = host.bind('getpid')();`);
      return [join(root, 'dist/.native/javascript'), 'run', globals, prepared, bundled];
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const onNode = results((dir) => [process.execPath, '--disable-warning=ExperimentalWarning', script, dir]);
const onBun = results((dir) => [bun, script, dir]);

test('files, processes, namespaces and netlink do the same on QuickJS and on Node', (t) => {
  t.deepEqual(onQuickJs(), onNode);
});

test('files, processes, namespaces and netlink do the same on Node and on Bun', (t) => {
  t.deepEqual(onBun, onNode);
});

test('and that is what they should do', (t) => {
  t.like(onBun, {
    pid: true,
    uid: 0,
    random: true,
    read: 'text \u{1F310}',
    large: 300_000,
    empty: '',
    missing: 'ENOENT: Cannot open "DIR/missing": ENOENT, no such file or directory',
    'in the way': 'ENOTDIR: Cannot make the directory "DIR/large/x": ENOTDIR, not a directory',
    stat: { mode: 0o100600, uid: 0, size: 300_000, mtime: '1234567890123456789' },
    list: ['a', 'empty', 'large', 'soft', 'ünï code'],
    limit: 'EFBIG: Cannot read zeros, it has more than 100 bytes: EFBIG, file too large',
    run: [0, 0, 'through'],
    add: ['a', 'veth', true],
    event: true,
    'no event': 0,
    batch: 150,
    addresses: ['10.1.0.2/24'],
    b: '02:00:00:00:00:0b',
    'after a throw': 'thrown: inside',
    back: false,
    unpin: [true, false],
  });
  t.false(JSON.stringify(onBun).includes('not ours'));
});
