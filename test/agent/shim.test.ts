/** The shim, built with sanitizers, against an agent of the test's own that misbehaves. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { adapter } from '#ffi';
import { readRequest } from '../../src/agent/protocol.ts';
import { statFd, tryStat } from '../../src/ffi/file.ts';
import { cString, errno, libc } from '../../src/ffi/libc.ts';
import { AF_UNIX, unixAddress } from '../../src/ffi/unix-address.ts';
import { accept, type Connection, hangUp, isCalled, listenAt, stopListening } from '../../src/ffi/unix-socket.ts';
import { makeRoot } from '../support/host.ts';
import { until } from '../support/until.ts';

const SOURCE = fileURLToPath(new URL('../../native/shim.c', import.meta.url));
const CONFIGURATION = '{"cniVersion": "0.4.0", "name": "net"}';
/** Stands in for netloom: prints its name and its stdin. */
const STANDALONE = '#!/bin/sh\necho "standalone as $(basename "$NAME0") with $(cat)"\n';
const BUILD = 'the-build';

const lib = adapter.load({
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  seteuid: { args: ['u32'], returns: 'i32' },
});
const NOBODY = 65534;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const EAGAIN = 11;

const root = makeRoot();
const socketPath = join(root.path, 'run/netloom/agent.sock');

/** The shim's limits, in ms: generous for both steps, or short for accepting or for answering. */
const LIMITS = {
  patient: { accept: 60_000, answer: 60_000 },
  'not for acceptance': { accept: 1000, answer: 60_000 },
  'not for the answer': { accept: 60_000, answer: 1000 },
} as const;
type Patience = keyof typeof LIMITS;
const directoryOf = (patience: Patience) => join(root.path, patience.replaceAll(' ', '-'));
const shim = join(directoryOf('patient'), 'netloom-shim');

test.before(() => {
  mkdirSync(join(root.path, 'run/netloom'), { recursive: true });
  for (const patience of Object.keys(LIMITS) as Patience[]) {
    const directory = directoryOf(patience);
    const { accept: accepting, answer } = LIMITS[patience];
    mkdirSync(directory);
    execFileSync('cc', [
      ...[
        '-std=c11',
        '-g',
        '-O1',
        '-Wall',
        '-Wextra',
        '-Werror',
        '-fsanitize=address,undefined',
        '-fno-sanitize-recover=all',
      ],
      ...[`-DNETLOOM_BUILD="${BUILD}"`, `-DACCEPT_LIMIT_MS=${accepting}`, `-DANSWER_LIMIT_MS=${answer}`],
      ...['-o', join(directory, 'netloom-shim'), SOURCE],
    ]);
    symlinkSync('netloom-shim', join(directory, 'bridge'));
    writeFileSync(join(directory, 'netloom-cni'), STANDALONE);
    chmodSync(join(directory, 'netloom-cni'), 0o755);
  }
});

test.after.always(() => root.remove());

interface End {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes stdin non-blocking. NB: Node makes it blocking again before the program begins, so this runs in the shell. */
const IMPATIENT = 'dd iflag=nonblock count=0 of=/dev/null 2>&-; ';

interface Options {
  readonly patience?: Patience;
  readonly stdin?: string;
  readonly environment?: Record<string, string>;
  readonly closesStdout?: boolean;
  /** Starts without stdout, as `>&-` does. */
  readonly hasNoStdout?: boolean;
  /** Shell commands that run before the shim. */
  readonly before?: string;
}

/** Executes the shim; `act` plays the agent for its call. */
async function call(act: ((connection: Connection) => void) | undefined, options: Options = {}): Promise<End> {
  execFileSync('rm', ['-f', socketPath]);
  using listening = act === undefined ? undefined : listenAt(socketPath, 1);
  const { child, end } = start(options);
  // NB: write stdin first. Then this thread waits for the shim to connect.
  await new Promise<void>((resolve) => child.stdin.end(options.stdin ?? CONFIGURATION, () => resolve()));
  if (act !== undefined && listening !== undefined) {
    using connection = accepted(listening);
    connection.limit(60);
    act(connection);
    connection[Symbol.dispose]();
    stopListening(listening.number);
  }
  return await end;
}

/** The next connection from a shim. */
function accepted({ number }: Listening): Connection {
  const connection = accept(number);
  if (connection === undefined) throw new Error('the shim did not connect');
  return connection;
}

/** Gives a shim its stdin, and plays the agent: reads the whole request, and reports the end of the call. */
async function carriesOut(t: ExecutionContext, listening: Listening, { child, end }: Started): Promise<void> {
  await new Promise<void>((resolve) => child.stdin.end(CONFIGURATION, () => resolve()));
  using connection = accepted(listening);
  const request = hear(connection);
  t.is(request && readRequest(request)?.stdin, CONFIGURATION);
  say(connection, 'A', Uint8Array.of(0x78, 0));
  t.is((await end).status, 0);
}

type Listening = ReturnType<typeof listenAt>;
type Started = ReturnType<typeof start>;

/** Executes the shim; it waits for its stdin. */
function start(options: Options = {}) {
  const { patience = 'patient', environment = {}, closesStdout, hasNoStdout, before = '' } = options;
  const path = join(directoryOf(patience), 'bridge');
  const after = hasNoStdout === true ? ' >&-' : '';
  const argv = before + after === '' ? [path] : ['sh', '-c', `${before}exec "$0"${after}`, path];
  const child = spawn(argv[0] ?? path, argv.slice(1), {
    env: {
      PATH: process.env['PATH'],
      NETLOOM_ROOT: root.path,
      NAME0: 'bridge',
      CNI_COMMAND: 'ADD',
      ASAN_OPTIONS: 'detect_leaks=0:exitcode=99',
      UBSAN_OPTIONS: 'halt_on_error=1:exitcode=99',
      ...environment,
    },
    cwd: root.path,
    stdio: 'pipe',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  if (closesStdout === true) child.stdout.destroy();
  child.stdin.on('error', () => {});
  const end = new Promise<End>((resolve) => child.on('close', (status) => resolve({ status, stdout, stderr })));
  return { child, end };
}

function ran(t: ExecutionContext, end: End, stdin = CONFIGURATION): void {
  t.deepEqual(end, { status: 0, stdout: `standalone as bridge with ${stdin}\n`, stderr: '' });
}

function failed(t: ExecutionContext, { status, stdout, stderr }: End, version = '0.4.0'): void {
  t.is(stderr, '');
  t.is(status, 1);
  const { cniVersion, code, msg } = JSON.parse(stdout) as { cniVersion: string; code: number; msg: string };
  t.deepEqual([cniVersion, code], [version, 11]);
  t.true(msg.startsWith('Cannot finish the call: '));
}

const buffer = () => new Uint8Array(new ArrayBuffer(256 << 10));
const bytes = (text: string) => new TextEncoder().encode(text);
const say = (connection: Connection, ...frames: (string | Uint8Array)[]) => {
  for (const each of frames) connection.send(typeof each === 'string' ? bytes(each) : each);
};
/** Receives the shim's request. Do that before answering it. */
const hear = (connection: Connection) => {
  using request = connection.receive(buffer(), 2);
  return request?.bytes;
};

/** Receives the request and sends these frames, or as many of them as the shim waits for. */
const answering =
  (...frames: (string | Uint8Array)[]) =>
  (connection: Connection) => {
    hear(connection);
    try {
      say(connection, ...frames);
    } catch {
      // The shim hung up first.
    }
  };

test.serial(
  'without an agent netloom is executed, under the name of the plugin and with stdin untouched',
  async (t) => {
    ran(t, await call(undefined));
  },
);

test.serial(
  'the request has the build, the type, the environment, stdin, and the namespace and the directory as files',
  async (t) => {
    const end = await call(
      (connection) => {
        using received = connection.receive(buffer(), 2);
        const request = received && readRequest(received.bytes);
        t.is(request?.build, BUILD);
        t.is(request?.type, 'bridge');
        t.is(request?.stdin, CONFIGURATION);
        t.is(request?.umask, process.umask());
        t.is(request?.environment['CNI_COMMAND'], 'ADD');
        t.is(request?.environment['WITH_EQUALS'], 'a=b');
        const [netns, directory] = (received?.files ?? []).map(({ number }) => statFd(number).ino);
        t.is(netns, tryStat('/proc/self/ns/net')?.ino);
        t.is(directory, tryStat(root.path)?.ino);
        t.is(connection.peer.uid, 0);
        say(connection, 'A', Uint8Array.of(0x78, 0));
      },
      { environment: { WITH_EQUALS: 'a=b' } },
    );
    t.deepEqual(end, { status: 0, stdout: '', stderr: '' });
  },
);

test.serial('where stdin cannot be kept for netloom, the error is one that the runtime can read', async (t) => {
  execFileSync('rm', ['-f', socketPath]);
  using listening = listenAt(socketPath, 1);
  // It cannot write a byte to a file, and does not die of SIGXFSZ.
  const { child, end } = start({ before: "trap '' XFSZ; ulimit -f 0; " });
  await new Promise<void>((resolve) => child.stdin.end(CONFIGURATION, () => resolve()));
  using connection = accepted(listening);
  hear(connection);
  say(connection, 'Danother build');
  const { status, stdout } = await end;
  t.is(status, 1);
  t.deepEqual(JSON.parse(stdout), {
    cniVersion: '1.1.0',
    code: 5,
    msg: 'Cannot keep stdin for netloom-cni: File too large',
  });
});

test.serial('a stdin that does not block is waited for', async (t) => {
  execFileSync('rm', ['-f', socketPath]);
  using listening = listenAt(socketPath, 1);
  const started = start({ before: IMPATIENT });
  // poll(2) on x86-64, ppoll(2) there and on arm64.
  await until('it waits for stdin, or goes on without', () => {
    const call = readFileSync(`/proc/${started.child.pid}/syscall`, 'utf8');
    return isCalled(listening.number, 0) || /^(?:7|271|73) /.test(call);
  });
  await carriesOut(t, listening, started);
});

test.serial('the agent hears of a call when all of it is there: no thread of it waits for a runtime', async (t) => {
  execFileSync('rm', ['-f', socketPath]);
  using listening = listenAt(socketPath, 1);
  const started = start();
  // read(2) on x86-64 and on arm64, of stdin.
  await until('it waits for stdin', () =>
    /^(?:0|63) 0x0 /.test(readFileSync(`/proc/${started.child.pid}/syscall`, 'utf8')),
  );
  t.false(isCalled(listening.number, 0));
  await carriesOut(t, listening, started);
});

test.serial('one that listens and is not root gets to see nothing: netloom is executed', async (t) => {
  execFileSync('rm', ['-f', socketPath]);
  const directories = [root.path, join(root.path, 'run'), join(root.path, 'run/netloom')];
  const modes = directories.map((path) => statSync(path).mode);
  for (const path of directories) chmodSync(path, 0o777);
  // The peer credentials are those of the process at the time of listen(2).
  t.is(lib.seteuid(NOBODY), 0);
  let listening: Listening;
  try {
    listening = listenAt(socketPath, 1);
  } finally {
    lib.seteuid(0);
    for (const [i, path] of directories.entries()) chmodSync(path, (modes[i] ?? 0) & 0o777);
  }
  const { child, end } = start({ patience: 'not for acceptance' });
  child.stdin.end(CONFIGURATION);
  ran(t, await end);
  using connection = accepted(listening);
  t.is(hear(connection), undefined, 'it came, saw who it is, and left');
  listening.close();
});

/** Until it has accepted, whatever an agent does, the shim executes netloom. */
const NOT_ACCEPTED: readonly [title: string, act: (connection: Connection) => void][] = [
  ['closes at once', () => {}],
  ['closes when it has the request', (connection) => void hear(connection)],
  ['declines', answering('Danother build')],
  ['answers with garbage', answering('\0\0\0\0')],
  ['answers as if it had accepted', answering('o{}', 'p\0', 'x\0')],
  ['answers with too long a message', answering(new Uint8Array(100_000).fill(65))],
];
for (const [title, act] of NOT_ACCEPTED) {
  test.serial(`an agent that ${title} has not accepted: netloom is executed`, async (t) => {
    ran(t, await call(act));
  });
}

test.serial('an agent that never accepts is not waited for, and cannot accept later', async (t) => {
  const end = await call(
    (connection) => {
      hear(connection);
      // NB: the shim gives up after its limit of a second, and later on a busy machine. An acceptance that comes before
      // is still valid.
      t.is(hear(connection), undefined, 'it hangs up');
      t.throws(() => connection.send(bytes('A')), { message: /EPIPE|ECONNRESET/ });
    },
    { patience: 'not for acceptance' },
  );
  ran(t, end);
});

test.serial('where as many wait as the socket takes, netloom is executed, and nobody waits', async (t) => {
  execFileSync('rm', ['-f', socketPath]);
  using listening = listenAt(socketPath, 2);
  const waiting: number[] = [];
  const address = unixAddress(cString(socketPath));
  const connects = () => {
    const fd = libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    waiting.push(fd);
    return lib.connect(fd, address, address.length) === 0;
  };
  try {
    while (connects()) t.true(waiting.length < 10);
    t.is(errno(), EAGAIN);
    const { child, end } = start();
    child.stdin.end(CONFIGURATION);
    ran(t, await end);
    // Nobody waits but those: the shim is not in the queue.
    for (let i = 0; i < waiting.length - 1; i++) accept(listening.number)?.[Symbol.dispose]();
    t.false(isCalled(listening.number, 0));
  } finally {
    for (const fd of waiting) libc.close(fd);
    stopListening(listening.number);
  }
});

/** Once it has accepted, the shim never executes netloom. */
const ACCEPTED: readonly [title: string, frames: readonly (string | Uint8Array)[]][] = [
  ['dies', []],
  ['dies in the middle of its answer', ['o{"a":']],
  ['sends an unknown frame', ['?']],
  ['sends an empty part', ['o']],
  ['accepts twice', ['A']],
  ['declines afterwards', ['Dtoo late']],
  ['asks to print without a status', ['p']],
  ['ends without a status', ['x']],
  ['gives it up', ['w']],
  ['sends a message that is too long', [new Uint8Array(100_000).fill(0x6f)]],
  ['sends more than anybody prints', Array.from({ length: 300 }, () => new Uint8Array(60_000).fill(0x6f))],
];
for (const [title, frames] of ACCEPTED) {
  test.serial(`an agent that has accepted and ${title} gives error 11 and no second run`, async (t) => {
    failed(t, await call(answering('A', ...frames)));
  });
}

test.serial('an agent that has accepted and never answers gives error 11', async (t) => {
  const end = await call(
    (connection) => {
      hear(connection);
      say(connection, 'A');
      t.is(hear(connection), undefined, 'the shim is gone');
    },
    { patience: 'not for the answer' },
  );
  failed(t, end);
});

test.serial('the error is told in the version of the configuration where it has one', async (t) => {
  const dying = answering('A');
  for (const [stdin, version] of [
    ['{"cniVersion":"0.3.1"}', '0.3.1'],
    ['{"name":"x"}', '1.1.0'],
    ['{"cniVersion":"1.0', '1.1.0'],
    ['{"cniVersion":"1.0.0\\"', '1.1.0'],
    ['{"cniVersion"', '1.1.0'],
    ['{"cniVersion":"11111111111111111111111111"}', '1.1.0'],
    ['', '1.1.0'],
  ] as const) {
    failed(t, await call(dying, { stdin }), version);
  }
});

test.serial('parts are printed together, stderr at once, and the agent hears that they were', async (t) => {
  const end = await call((connection) => {
    hear(connection);
    say(connection, 'A', 'ewarning\n', 'o{"a":', bytes('p\x01' + '1}\n'));
    t.deepEqual(hear(connection), Uint8Array.of(0x6b, 0, 0, 0, 0, 0, 0, 0));
  });
  t.deepEqual(end, { status: 1, stdout: '{"a":1}\n', stderr: 'warning\n' });
});

/** More than the socket holds for a reader that does not read. This process does not read while it plays the agent. */
const LONG_OUTPUT = Array.from({ length: 60 }, () => new Uint8Array(30_000).fill(0x6f));

test.serial('what is read only when the agent has given up, and undone the call, is no success', async (t) => {
  const end = await call((connection) => {
    hear(connection);
    say(connection, 'A', ...LONG_OUTPUT, 'p\0}');
    hangUp(connection.fd, bytes('w'));
  });
  t.is(end.status, 1);
  t.regex(end.stderr, /nobody read the result until the agent of netloom had given up/);
});

test.serial('what is read only when the agent has died is what it has done', async (t) => {
  const end = await call((connection) => {
    hear(connection);
    say(connection, 'A', ...LONG_OUTPUT, 'p\0}');
  });
  t.is(end.status, 0, end.stderr);
  t.is(end.stdout.length, LONG_OUTPUT.length * 29_999 + 1);
});

test.serial('the agent hears that stdout is closed', async (t) => {
  const end = await call(
    (connection) => {
      hear(connection);
      say(connection, 'A', 'o{', 'p\0}\n');
      t.is(hear(connection)?.[4], 32, 'EPIPE');
      say(connection, Uint8Array.of(0x78, 1));
    },
    { closesStdout: true },
  );
  t.is(end.status, 1);
});

test.serial('the agent hears that there is no stdout, and gets nothing that was to go there', async (t) => {
  const end = await call(
    (connection) => {
      hear(connection);
      say(connection, 'A', 'o{', 'p\0}\n');
      t.deepEqual(hear(connection), Uint8Array.of(0x6b, 0, 0, 0, 9, 0, 0, 0), 'EBADF');
      say(connection, Uint8Array.of(0x78, 1));
    },
    { hasNoStdout: true },
  );
  t.is(end.status, 1);
});

test.serial('calls that are not for the agent do not reach it', async (t) => {
  for (const environment of [
    { CNI_COMMAND: 'VERSION' },
    { CNI_COMMAND: '' },
    { CNI_COMMAND: 'ADDD' },
    { NETLOOM_TRACE: 'netlink' },
    { NETLOOM_WITHIN: 'agent' },
  ]) {
    ran(t, await call(undefined, { environment }));
  }
});

for (const [how, content] of [
  ['missing', undefined],
  ['empty', ''],
  ['damaged', '\x7fELF'],
] as const) {
  test.serial(`a netloom-cni that is ${how} is an error that a runtime can read`, (t) => {
    const directory = makeRoot();
    t.teardown(() => directory.remove());
    const path = join(directory.path, 'bridge');
    copyFileSync(shim, path);
    if (content !== undefined) writeFileSync(join(directory.path, 'netloom-cni'), content, { mode: 0o755 });
    const { status, stdout, stderr } = spawnSync(path, { env: { ASAN_OPTIONS: 'detect_leaks=0' }, encoding: 'utf8' });
    const { code, msg } = JSON.parse(stdout) as { code: number; msg: string };
    t.deepEqual([status, code], [1, 108]);
    t.is(msg, 'Cannot execute netloom-cni, which should be beside its shim: install it again');
    t.regex(stderr, content === undefined ? /No such file or directory/ : /Exec format error/);
  });
}

test.serial('a configuration that is too long for the agent goes to netloom whole', async (t) => {
  const stdin = JSON.stringify({ cniVersion: '1.0.0', long: 'x'.repeat(300_000) });
  ran(t, await call((connection) => void hear(connection), { stdin }), stdin);
});

test.serial('whatever an agent says, the shim ends by itself, and never runs an accepted call again', async (t) => {
  const letter = fc.constantFrom(...'AAopexwDk?\0');
  const frame = fc
    .tuple(letter, fc.uint8Array({ maxLength: 3 }))
    .map(([kind, rest]) => Uint8Array.of(kind.charCodeAt(0), ...rest));
  const long = fc.integer({ min: 65_000, max: 66_000 }).map((length) => new Uint8Array(length).fill(0x6f));
  const frames = fc.array(fc.oneof({ weight: 9, arbitrary: frame }, { weight: 1, arbitrary: long }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(frames, async (said) => {
      const end = await call(answering(...said));
      t.not(end.status, 99, end.stderr);
      t.not(end.status, null);
      t.false(/Sanitizer|runtime error/.test(end.stderr), end.stderr);
      const isAccepted = said[0]?.[0] === 0x41 && said[0].length < 65_000;
      t.is(end.stdout.includes('standalone'), !isAccepted);
    }),
    { numRuns: 60 },
  );
});
