/** One source, two runtimes: the product runs on Bun, the tests on Node. What same.ts prints must not depend on which. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { becomeHost } from '../support/host.ts';

becomeHost();

const script = fileURLToPath(new URL('same.ts', import.meta.url));
const bun = fileURLToPath(new URL('../../node_modules/.bin/bun', import.meta.url));

function results(command: string, ...args: string[]): Record<string, unknown> {
  const dir = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  try {
    const { status, stdout, stderr } = spawnSync(command, [...args, script, dir], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command}: exit ${status}\n${stderr}`);
    if (!stderr.endsWith('to stderr\n')) throw new Error(`${command}: stderr has ${JSON.stringify(stderr)}`);
    return JSON.parse(stdout);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const onNode = results(process.execPath, '--disable-warning=ExperimentalWarning');
const onBun = results(bun);

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
