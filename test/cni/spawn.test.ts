/** src/ffi/spawn.ts, on Node here and on Bun below. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type RunOptions, run } from '../../src/ffi/spawn.ts';

const ROOT = join(import.meta.dirname, '../..');
const PATH = process.env['PATH'];

function shell(script: string, stdin = '', options: RunOptions = {}) {
  const { stdout, stderr, ...end } = run('/bin/sh', ['sh', '-c', script], { PATH }, Buffer.from(stdin), options);
  return { ...end, stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString() };
}

test('status, stdout and stderr come back', (t) => {
  t.deepEqual(shell('cat; echo bad >&2; exit 3', 'in'), { status: 3, signal: 0, stdout: 'in', stderr: 'bad\n' });
});

test('a signal comes back', (t) => {
  t.deepEqual(shell('kill -15 $$'), { status: -1, signal: 15, stdout: '', stderr: '' });
});

test('the environment is what was given and nothing else', (t) => {
  const { stdout } = run('/usr/bin/env', ['env'], { A: 'ä=b', B: undefined, C: '' }, Buffer.alloc(0));
  t.is(Buffer.from(stdout).toString(), 'A=ä=b\nC=\n');
});

test('no signal is blocked or ignored in the child', (t) => {
  const { stdout } = run('/bin/grep', ['grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status'], {}, Buffer.alloc(0));
  t.is(Buffer.from(stdout).toString(), 'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n');
});

test('large input and output on both sides do not block each other', (t) => {
  const input = 'x'.repeat(8 << 20);
  const { stdout, stderr } = shell('tee /dev/stderr', input);
  t.is(stdout.length, input.length);
  t.is(stderr.length, input.length);
});

test('a program that leaves without reading its input is no problem', (t) => {
  t.is(shell('exit 0', 'x'.repeat(8 << 20)).status, 0);
});

test('scripts may open /dev/stdin, /dev/stdout and /dev/stderr', (t) => {
  const { stdout, stderr } = shell('cat /dev/stdin >/dev/stdout; echo e >/dev/stderr; echo more', 'in\n');
  t.is(stdout, 'in\nmore\n');
  t.is(stderr, 'e\n');
});

test('a program that is not there, or is none, says so', (t) => {
  t.throws(() => run('/nowhere', ['x'], {}, Buffer.alloc(0)), {
    message: 'Cannot run "/nowhere": ENOENT, no such file or directory',
  });
  t.throws(() => run('/etc/passwd', ['x'], {}, Buffer.alloc(0)), { message: /EACCES/ });
  t.throws(() => run('/bin/sh', ['a\0b'], {}, Buffer.alloc(0)), { message: /NUL/ });
});

test('a program that takes too long is killed', (t) => {
  const start = performance.now();
  t.throws(() => shell('exec sleep 60', '', { timeout: 50 }), { code: 'timed-out' });
  t.true(performance.now() - start < 30_000);
});

test('output without an end is stopped', (t) => {
  t.throws(() => shell('exec cat /dev/zero'), { code: 'too-long' });
});

/** Our child processes, including zombies that were not waited for. /proc/PID/stat: pid (name) state ppid … */
function children(): string[] {
  const stats = readdirSync('/proc').map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'utf8');
    } catch {
      return '';
    }
  });
  return stats.filter((stat) => new RegExp(`\\) . ${process.pid} `).test(stat));
}

test('no descriptor and no process is left behind', (t) => {
  const descriptors = () => readdirSync('/proc/self/fd').length;
  shell('true');
  const before = descriptors();
  for (let i = 0; i < 20; i++) shell('exit 1');
  t.throws(() => run('/nowhere', ['x'], {}, Buffer.alloc(0)));
  t.throws(() => shell('exec sleep 60', '', { timeout: 1 }));
  t.is(descriptors(), before);
  t.deepEqual(children(), []);
});

test('the same works on Bun', (t) => {
  const script = `
    import { run } from '${ROOT}/src/ffi/spawn.ts';
    const text = (bytes) => new TextDecoder().decode(bytes);
    const big = new Uint8Array(3 << 20).fill(120);
    const cat = run('/bin/cat', ['cat'], {}, big);
    const end = run('/bin/sh', ['sh', '-c', 'cat; grep SigIgn /proc/self/status; echo "$A" >&2; kill -15 $$'],
      { PATH: '${PATH}', A: 'b' }, new TextEncoder().encode('in\\n'));
    console.log(JSON.stringify([cat.status, cat.stdout.length, end.status, end.signal, text(end.stdout), text(end.stderr)]));
  `;
  const output = execFileSync(join(ROOT, 'node_modules/.bin/bun'), ['-e', script], { cwd: ROOT }).toString();
  t.deepEqual(JSON.parse(output), [0, 3 << 20, -1, 15, 'in\nSigIgn:\t0000000000000000\n', 'b\n']);
});
