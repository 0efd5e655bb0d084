/** The demos of README: each shows what it promises, and leaves nothing on the machine. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Netloom } from '../support/command.ts';
import { becomeHost, makeRoot, mounts, snapshot } from '../support/host.ts';

becomeHost();

function shown(t: ExecutionContext, ...args: string[]): string {
  const root = makeRoot();
  t.teardown(() => root.remove());
  // Demos of other test files run at the same time: where theirs have their files is not looked at.
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
