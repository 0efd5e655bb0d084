/** Private mounts for what a function starts. */
import { spawnSync } from 'node:child_process';
import test from 'ava';

const MODULE = new URL('../../src/netns/own-mounts.ts', import.meta.url).href;

/** Runs in a process of its own, which ends if the thread cannot come back. */
const PROGRAM = `
import { readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { withOwnMounts } from '${MODULE}';
const mounts = () => readlinkSync('/proc/thread-self/ns/mnt');
const before = [mounts(), process.cwd()];
const inside = withOwnMounts(() => {
  new Worker('', { eval: true });
  return mounts();
});
console.log(JSON.stringify({ before, inside, after: [mounts(), process.cwd()] }));
`;

test('a thread that the engine begins meanwhile does not keep the caller from coming back', (t) => {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', PROGRAM];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: '/usr' });
  t.is(status, 0, stderr);
  const { before, inside, after } = JSON.parse(stdout) as { before: string[]; inside: string; after: string[] };
  t.deepEqual(after, before);
  t.not(inside, before[0]);
});
