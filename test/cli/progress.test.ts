/**
 * Progress of work that takes over a second: every command that makes someone wait shows it, until it hands over the
 * terminal; without a terminal none is shown.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';

becomeHost();

const CLEAR = '\r\u001b[K';
/** A shell command: prints, waits a while, and prints more. */
const COMMAND = 'echo mine; sleep 1.5; echo still mine';

function start(t: ExecutionContext) {
  const lab = new Lab(t);
  mkdirSync(join(lab.root, 'run/netloom'), { recursive: true });
  return { root: lab.root, netloom: new Netloom(lab.root, { TERM: 'xterm' }) };
}

/** What a shell command shows on a terminal. */
function shown({ environment }: Netloom, command: string, more: Readonly<Record<string, string>> = {}): string {
  return execFileSync('script', ['-q', '-e', '-c', command, '/dev/null'], {
    env: { ...environment, ...more },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Another process holds a lock for some seconds. */
async function held(t: ExecutionContext, path: string): Promise<void> {
  const child = spawn('flock', [path, 'sh', '-c', 'echo got; exec sleep 3'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
}

test.serial('run tells what it waits for until the command begins, and again after it', async (t) => {
  const { root, netloom } = start(t);
  await held(t, join(root, 'run/netloom/lock'));
  const seen = shown(netloom, `${NETLOOM} run --network none -- sh -c '${COMMAND}'`);
  t.true(seen.includes(`${CLEAR}netloom: waiting for another netloom that changes something, 1 s`), seen);
  t.true(seen.includes(`${CLEAR}mine\r\n`), seen);
  t.true(seen.includes('mine\r\nstill mine\r\n'), `the command has the terminal: ${seen}`);
});

test.serial('exec leaves the terminal to the command', (t) => {
  const { root, netloom } = start(t);
  netloom.run('sandbox', 'create', '--name', 'web');
  t.teardown(() => netloom.try('sandbox', 'rm', '--force', 'web'));
  t.is(shown(netloom, `${NETLOOM} exec web -- sh -c '${COMMAND}'`), 'mine\r\nstill mine\r\n');
  const record = join(root, 'var/lib/netloom/sandboxes/web.json');
  t.true(existsSync(record));
  const inject = `-P ${record} -e inject=openat:delay_enter=1500000`;
  const slow = `strace -f -qqq -o /dev/null ${inject} ${NETLOOM} exec web -- echo mine`;
  const seen = shown(netloom, slow);
  t.true(seen.startsWith(`${CLEAR}netloom: working, 1 s`), seen);
  t.true(seen.endsWith(`${CLEAR}mine\r\n`), seen);
});

test.serial('run --detach waits with words', async (t) => {
  const { root, netloom } = start(t);
  await held(t, join(root, 'run/netloom/lock'));
  const seen = shown(netloom, `${NETLOOM} run --detach --name web --network none -- sleep 600`);
  t.teardown(() => netloom.try('sandbox', 'rm', '--force', 'web'));
  t.true(seen.includes(`${CLEAR}netloom: waiting for the command to begin, 1 s`), seen);
  t.true(seen.endsWith(`${CLEAR}web\r\n`), seen);
});

test.serial('demo tells what takes long', (t) => {
  const { netloom } = start(t);
  const seen = shown(netloom, `strace -f -qqq -o /dev/null -e inject=mount:delay_enter=1500000 ${NETLOOM} demo bridge`);
  t.true(seen.includes(`${CLEAR}netloom: making a namespace that plays "host", 1 s`), seen);
  t.true(seen.includes(`${CLEAR}A network namespace plays the host`), seen);
});

test.serial('the agent tells what its start waits for, and from then on only its log is written', async (t) => {
  const { root, netloom } = start(t);
  await held(t, join(root, 'run/netloom/agent.lock'));
  const child = spawn('script', ['-q', '-e', '-c', `exec ${NETLOOM} agent`, '/dev/null'], {
    env: netloom.environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let seen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
  const ended = once(child, 'exit');
  await until('the agent says that it serves', () => seen.includes('"serving calls"'));
  const { pid } = JSON.parse(/\{.*"serving calls".*\}/.exec(seen)?.[0] ?? '') as { pid: number };
  process.kill(pid, 'SIGTERM');
  await ended;
  t.true(seen.includes(`${CLEAR}netloom: waiting for another agent that begins or ends, `), seen);
  const log = seen
    .slice(seen.lastIndexOf(CLEAR) + CLEAR.length)
    .trim()
    .split('\r\n');
  t.true(log.length > 0);
  for (const line of log) t.notThrows(() => JSON.parse(line), seen);
});

test.serial('NO_COLOR and a dumb terminal get no escape sequences', async (t) => {
  const { root, netloom } = start(t);
  for (const environment of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    await held(t, join(root, 'run/netloom/lock'));
    const seen = shown(netloom, `${NETLOOM} sandbox create --name web`, environment);
    netloom.run('sandbox', 'rm', 'web');
    t.false(seen.includes('\u001b'), seen);
    t.regex(seen, /netloom: waiting for another netloom that changes something, 1 s\r +\r/);
    t.regex(seen, /\r {20,}\rsandbox web\r\n$/, 'the answer begins in a clear line');
  }
});

test.serial('JSON is never mixed with it, and a pipe gets none of it', async (t) => {
  const { root, netloom } = start(t);
  const file = join(root, 'answer');
  const create = `${NETLOOM} sandbox create --name web --json`;
  await held(t, join(root, 'run/netloom/lock'));
  const seen = shown(netloom, `${create} >${file}`);
  t.true(seen.includes('netloom: waiting for another'), seen);
  t.like(JSON.parse(readFileSync(file, 'utf8')), { name: 'web' });
  netloom.run('sandbox', 'rm', 'web');
  await held(t, join(root, 'run/netloom/lock'));
  const onTerminal = shown(netloom, create);
  t.like(JSON.parse(onTerminal.slice(onTerminal.lastIndexOf(CLEAR) + CLEAR.length)), { name: 'web' });
  netloom.run('sandbox', 'rm', 'web');
  await held(t, join(root, 'run/netloom/lock'));
  const piped = netloom.try('sandbox', 'create', '--name', 'web', '--json');
  netloom.run('sandbox', 'rm', 'web');
  t.is(piped.stderr, '');
  t.like(JSON.parse(piped.stdout), { name: 'web' });
  t.true(existsSync(file));
});
