/** A plugin as a process, on both engines: what a container runtime sees of it. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { adapter } from '#ffi';
import { checkNetns } from '../../src/cni/netns.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '../..');
const RUNTIMES = {
  Bun: [join(ROOT, 'node_modules/.bin/bun'), '-e'],
  Node: [process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e'],
} as const;

const SCRIPT = `
  import { confSchema } from '${ROOT}/src/cni/config.ts';
  import { serve } from '${ROOT}/src/cni/serve.ts';
  import { stdio } from '${ROOT}/src/cni/stdio.ts';
  const plugin = {
    type: 'test', about: 'tests', schema: confSchema({}),
    add: (call) => ({ interfaces: [{ name: call.ifname, sandbox: call.netns }] }),
    del: (call) => call.warn('del'), check() {}, gc() {}, status() {},
  };
  process.exit(serve(plugin, stdio(process.env)));
`;

const ENVIRONMENT = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/proc/self/ns/net',
  CNI_NETNS_OVERRIDE: '1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};

const CONF = '{"cniVersion": "1.0.0", "name": "net", "type": "test"}';

/** dist/netloom-cni, which runs on QuickJS, as `loopback`. */
const CNI = join(ROOT, 'dist/netloom-cni');

const lib = adapter.load({ pipe2: { args: ['ptr', 'i32'], returns: 'i32' } });
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
/** poll(2) on x86-64, ppoll(2) there and on arm64. */
const WAITING = /^(?:7|271|73) /;

/** A pipe with non-blocking ends, like one that a runtime also reads. */
function pipe(t: ExecutionContext): [read: number, write: number] {
  const ends = new Int32Array(2);
  t.is(lib.pipe2(new Uint8Array(ends.buffer), O_NONBLOCK | O_CLOEXEC), 0);
  const [read = -1, write = -1] = ends;
  return [read, write];
}

/**
 * Makes stdin and stdout non-blocking, and becomes the program. Node makes them blocking before it starts the shell.
 */
const WITHOUT_BLOCKING =
  'dd iflag=nonblock count=0 of=/dev/null 2>&-; dd oflag=nonblock count=0 if=/dev/null 2>&-; exec -a "$0" "$@"';

/** Starts a plugin with this stdin and stdout, and returns when it waits or has ended. */
async function startWith(t: ExecutionContext, argv0: string, command: readonly string[], stdio: [number, number]) {
  const child = spawn('bash', ['-c', WITHOUT_BLOCKING, argv0, ...command], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...ENVIRONMENT },
    stdio: [...stdio, 'ignore'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  await until('it waits, or has ended', () => {
    return child.exitCode !== null || WAITING.test(readFileSync(`/proc/${child.pid}/syscall`, 'utf8'));
  });
  return { ended };
}

/** Reads all that is in a pipe now. */
function drain(fd: number): string {
  const buffer = Buffer.alloc(1 << 20);
  return buffer.toString('utf8', 0, readSync(fd, buffer));
}

/** Fills a pipe until it takes no more. @returns how much that was */
function fill(fd: number): number {
  const part = Buffer.alloc(4096, ' ');
  for (let length = 0; ; length += part.length) {
    try {
      writeSync(fd, part);
    } catch {
      return length;
    }
  }
}

for (const [name, argv0, command] of [
  ['Bun', 'bun', [...RUNTIMES.Bun, SCRIPT]],
  ['Node', 'node', [...RUNTIMES.Node, SCRIPT]],
  ['QuickJS', 'loopback', [CNI]],
] as const) {
  test(`${name}: pipes that do not block are waited for`, async (t) => {
    const [input, writer] = pipe(t);
    const [reader, output] = pipe(t);
    t.true(fill(output) > 0);
    const { ended } = await startWith(t, argv0, command, [input, output]);
    writeSync(writer, '{"cniVersion": "1.0.0", "name": "bad name"}');
    closeSync(writer);
    closeSync(output);
    let said = '';
    await until('it has said all', () => {
      const part = drain(reader);
      said += part;
      return part === '';
    });
    t.is((JSON.parse(said) as { code: number }).code, 7);
    t.is(await ended, 1);
    for (const fd of [input, reader]) closeSync(fd);
  });
}

test('QuickJS: of two variables with one name the first one counts', (t) => {
  // The second variable is what a name with an equals sign leads to.
  const env = { CNI_COMMAND: 'VERSION', 'CNI_COMMAND=ADD': '' };
  const { stdout } = spawnSync(CNI, [], { argv0: 'loopback', env, encoding: 'utf8' });
  t.true((JSON.parse(stdout) as { supportedVersions: string[] }).supportedVersions.includes('1.1.0'));
});

for (const [name, [program, ...args]] of Object.entries(RUNTIMES)) {
  const execute = (environment: Record<string, string>, input: string, stdout: number | 'pipe' = 'pipe') =>
    spawnSync(program, [...args, SCRIPT], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], ...ENVIRONMENT, ...environment },
      input,
      stdio: ['pipe', stdout, 'pipe'],
      encoding: 'utf8',
    });

  test(`${name}: the result comes on stdout`, (t) => {
    const { status, stdout, stderr } = execute({}, CONF);
    t.is(stderr, '');
    t.is(status, 0);
    t.deepEqual(JSON.parse(stdout), {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox: '/proc/self/ns/net' }],
    });
  });

  test(`${name}: the own namespace is refused before anything is done`, (t) => {
    const { status, stdout } = execute({ CNI_NETNS_OVERRIDE: '' }, CONF);
    t.is(status, 1);
    t.is(JSON.parse(stdout).code, 8);
  });

  test(`${name}: no stdin is an error object`, (t) => {
    const { status, stdout } = execute({}, '');
    t.is(status, 1);
    t.is(JSON.parse(stdout).code, 6);
  });

  test(`${name}: on a full disk the ADD is undone and stderr tells why`, (t) => {
    const full = openSync('/dev/full', 'w');
    try {
      const { status, stderr } = execute({}, CONF, full);
      t.is(status, 1);
      t.is(stderr, 'test: del\ntest: Cannot write stdout: ENOSPC, no space left on the device\n');
    } finally {
      closeSync(full);
    }
  });
}

test('a namespace must be there, be one, and be another', (t) => {
  t.throws(() => checkNetns('/nowhere'), { code: 'no-namespace' });
  t.throws(() => checkNetns('/etc/passwd'), { code: 'not-a-namespace' });
  t.throws(() => checkNetns('/proc/self/ns/net'), { code: 'own-namespace' });
});
