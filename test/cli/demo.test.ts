/** The demos of README: each shows what it promises, and leaves nothing on the machine. */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost, makeRoot, mounts, snapshot } from '../support/host.ts';
import { Limit } from '../support/limit.ts';

becomeHost();

function shown(t: ExecutionContext, ...args: string[]): string {
  const root = makeRoot();
  t.teardown(() => root.remove());
  // A directory of its own, because demos of other test files run at the same time.
  const TMPDIR = join(root.path, 'tmp');
  mkdirSync(TMPDIR);
  const state = () => [snapshot(root.path), mounts(), ...readdirSync(TMPDIR)];
  const before = state();
  const text = new Netloom(root.path, { TMPDIR }).run('demo', ...args);
  t.deepEqual(state(), before);
  return text;
}

test.serial('demo: two containers on a bridge reach each other and the host', (t) => {
  for (const args of [[], ['bridge']]) {
    const text = shown(t, ...args);
    t.regex(text, /^blue {3}→ green {4}10\.77\.0\.3 {2}\d+\.\d\d ms$/m);
    t.regex(text, /^green {2}→ the host 10\.77\.0\.1 {2}\d+\.\d\d ms$/m);
    t.regex(text, /^Left on the host: lo, netloom0\./m);
  }
});

test.serial('demo overlay: containers of two machines reach each other, and each machine its way to the other', (t) => {
  const text = shown(t, 'overlay');
  t.regex(text, /^blue {3}→ green {4}10\.96\.2\.2 {2}\d+\.\d\d ms$/m);
  t.regex(text, /^green {2}→ blue {5}10\.96\.1\.2 {2}\d+\.\d\d ms$/m);
  t.regex(text, /^node1 {2}→ green {4}10\.96\.2\.2 {2}\d+\.\d\d ms$/m);
  t.regex(text, /^10\.96\.2\.0\/24 is behind nlx-\w+, by VXLAN to 192\.0\.2\.2, 1450 bytes$/m);
  t.regex(text, /^10\.96\.1\.0\/24 is behind nlx-\w+, by VXLAN to 192\.0\.2\.1, 1450 bytes$/m);
  t.regex(text, /^Left: on node1 lo, eth0; on node2 lo, eth0\./m);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test.serial(`demo: ${signal} in the middle of it leaves nothing either`, async (t) => {
    const root = makeRoot();
    t.teardown(() => root.remove());
    const before = mounts();
    const child = spawn(NETLOOM, ['demo'], { env: { ...process.env, TMPDIR: root.path }, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('close', (...how) => resolve(how)));
    // NB: poll without a pause. A demo is over in a moment.
    const limit = new Limit(60);
    while (mounts() === before) if (limit.isOver()) throw new Error('it has made no namespace');
    child.kill(signal);
    t.deepEqual(await ended, [signal === 'SIGINT' ? 130 : 143, null]);
    t.deepEqual([mounts(), readdirSync(root.path)], [before, []]);
  });
}

test.serial('demo: a build without what it is to show says so, and leaves nothing', (t) => {
  const root = makeRoot();
  t.teardown(() => root.remove());
  const temporary = join(root.path, 'tmp');
  mkdirSync(temporary);
  for (const name of ['netloom', 'netloom-shim']) copyFileSync(join(NETLOOM, '..', name), join(root.path, name));
  const { status, stderr } = spawnSync(join(root.path, 'netloom'), ['demo'], {
    env: { ...process.env, TMPDIR: temporary },
    encoding: 'utf8',
  });
  t.is(status, 1);
  t.regex(stderr, /"netloom-cni" is missing beside it/);
  t.deepEqual(readdirSync(temporary), []);
});
