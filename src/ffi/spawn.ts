/**
 * Running a program to its end. man 3 posix_spawn.
 *
 * stdin is a file in memory (memfd), not a pipe: a program that exits without reading it cannot kill us with SIGPIPE or
 * block us. The output comes through pipes, so that scripts can open `/dev/stdout`, and is read as it arrives.
 */
import { adapter } from '#ffi';
import { NetloomError } from '../error.ts';
import { ERRNO, systemError } from './errno.ts';
import { Fd, writeAll } from './file.ts';
import { check, cString, errno, libc, uninterrupted } from './libc.ts';
import { awaitReadable } from './poll.ts';

/** Bound when the first program is run: most runs start none. */
const lib = once(() =>
  adapter.load({
    posix_spawn: { args: ['ptr', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr'], returns: 'i32' },
    posix_spawn_file_actions_init: { args: ['ptr'], returns: 'i32' },
    posix_spawn_file_actions_adddup2: { args: ['ptr', 'i32', 'i32'], returns: 'i32' },
    posix_spawn_file_actions_destroy: { args: ['ptr'], returns: 'i32' },
    posix_spawnattr_init: { args: ['ptr'], returns: 'i32' },
    posix_spawnattr_setflags: { args: ['ptr', 'i32'], returns: 'i32' },
    posix_spawnattr_setsigdefault: { args: ['ptr', 'ptr'], returns: 'i32' },
    posix_spawnattr_setsigmask: { args: ['ptr', 'ptr'], returns: 'i32' },
    posix_spawnattr_destroy: { args: ['ptr'], returns: 'i32' },
    memfd_create: { args: ['ptr', 'u32'], returns: 'i32' },
    pipe2: { args: ['ptr', 'i32'], returns: 'i32' },
    fcntl: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    lseek: { args: ['i32', 'size', 'i32'], returns: 'i32' },
    waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
    kill: { args: ['i32', 'i32'], returns: 'i32' },
  }),
);

const exec = once(() => adapter.load({ execve: { args: ['ptr', 'ptr', 'ptr'], returns: 'i32' } }));

const O_CLOEXEC = 0o2000000;
const MFD_CLOEXEC = 1;
const F_DUPFD_CLOEXEC = 1030;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const SIGKILL = 9;

/**
 * Larger than the opaque structures of any supported libc: glibc needs 80 bytes for the actions and 336 for the
 * attributes.
 */
const OPAQUE = 512;
/** sizeof(sigset_t) */
const SIGSET = 128;

/** Bytes, for stdout and stderr each. */
const OUTPUT_MAX = 16 << 20;

export interface RunOptions {
  /** The program is killed after so many milliseconds. Default: no limit. */
  readonly timeout?: number;
}

export interface RunResult {
  /** The exit status, or -1 where a signal ended the program. */
  readonly status: number;
  /** The signal that ended it, or 0. */
  readonly signal: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/**
 * Runs a program, and waits until it has ended and its output is closed.
 * @param path of the executable; not searched for
 * @param argv with argv[0]
 * @throws NetloomError the errno of posix_spawn (ENOENT, EACCES, ENOEXEC), timed-out, too-long
 */
export function run(
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  stdin: Uint8Array,
  options: RunOptions = {},
): RunResult {
  using input = memoryFile(stdin);
  using stdout = new Pipe();
  using stderr = new Pipe();
  const pid = spawn(path, argv, environment, [input.number, stdout.write.number, stderr.write.number]);
  // NB: our write ends must be closed, or the output never ends.
  stdout.write.close();
  stderr.write.close();
  let isDone = false;
  try {
    const deadline = options.timeout === undefined ? undefined : performance.now() + options.timeout;
    const [out, err] = readBoth(path, stdout.read.number, stderr.read.number, deadline);
    isDone = true;
    return { ...wait(pid), stdout: out, stderr: err };
  } finally {
    if (!isDone) {
      lib().kill(pid, SIGKILL);
      wait(pid);
    }
  }
}

/** Replaces this process by another program; returns only by throwing. */
export function become(
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): never {
  const args = new StringArray(argv);
  const env = new StringArray(pairsOf(environment));
  check(exec().execve(cString(path), args.bytes, env.bytes), `execute "${path}"`);
  throw new NetloomError('internal', `Cannot execute "${path}": it came back`);
}

function pairsOf(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(environment)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
}

/**
 * Starts a program with these descriptors as 0, 1 and 2 and default signal handling. It inherits nothing else of ours.
 */
function spawn(
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  stdio: readonly number[],
): number {
  const actions = new Uint8Array(OPAQUE);
  const attributes = new Uint8Array(OPAQUE);
  lib().posix_spawn_file_actions_init(actions);
  lib().posix_spawnattr_init(attributes);
  try {
    for (const [target, fd] of stdio.entries()) lib().posix_spawn_file_actions_adddup2(actions, fd, target);
    // Both runtimes ignore SIGPIPE, and a child would inherit that.
    lib().posix_spawnattr_setsigdefault(attributes, new Uint8Array(SIGSET).fill(0xff));
    lib().posix_spawnattr_setsigmask(attributes, new Uint8Array(SIGSET));
    lib().posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    const args = new StringArray(argv);
    const env = new StringArray(pairsOf(environment));
    return start(path, actions, attributes, args, env);
  } finally {
    lib().posix_spawnattr_destroy(attributes);
    lib().posix_spawn_file_actions_destroy(actions);
  }
}

/** A file that is being installed is busy (ETXTBSY) for a moment; the reference waits for it too. */
function start(path: string, actions: Uint8Array, attributes: Uint8Array, args: StringArray, env: StringArray): number {
  const pid = new Int32Array(1);
  for (let attempt = 0; ; attempt++) {
    // NB: posix_spawn returns the errno, it does not set it.
    const failure = lib().posix_spawn(bytesOf(pid), cString(path), actions, attributes, args.bytes, env.bytes);
    if (failure === 0) return pid[0] ?? 0;
    if (failure !== ERRNO.ETXTBSY || attempt === 50) throw systemError(failure, `run "${path}"`);
    libc.poll(null, 0, 100);
  }
}

/**
 * A char *[] and its strings in one block of memory. The garbage collector does not move it: an ArrayBuffer's memory is
 * not on the heap.
 */
class StringArray {
  readonly bytes: Uint8Array;

  constructor(strings: readonly string[]) {
    const encoded = strings.map(cString);
    const start = (strings.length + 1) * 8;
    const length = encoded.reduce((sum, { length }) => sum + length, start);
    this.bytes = new Uint8Array(new ArrayBuffer(length));
    const base = adapter.address(this.bytes);
    const view = new DataView(this.bytes.buffer);
    let at = start;
    for (const [i, string] of encoded.entries()) {
      view.setBigUint64(i * 8, base + BigInt(at), true);
      this.bytes.set(string, at);
      at += string.length;
    }
  }
}

/** The two ends of a pipe. Neither is 0, 1 or 2: dup2 in the child would overwrite one with another. */
class Pipe implements Disposable {
  readonly read: Fd;
  readonly write: Fd;

  constructor() {
    const ends = new Int32Array(2);
    check(lib().pipe2(bytesOf(ends), O_CLOEXEC), 'make a pipe');
    const [read = -1, write = -1] = ends;
    this.read = above2(read);
    this.write = above2(write);
  }

  [Symbol.dispose](): void {
    this.read.close();
    this.write.close();
  }
}

function above2(fd: number): Fd {
  const original = new Fd(fd);
  if (fd > 2) return original;
  using _ = original;
  return new Fd(check(lib().fcntl(fd, F_DUPFD_CLOEXEC, 3), `duplicate descriptor ${fd}`));
}

/** A file in memory with this content, positioned at its start. */
function memoryFile(content: Uint8Array): Fd {
  const fd = above2(check(lib().memfd_create(cString('stdin'), MFD_CLOEXEC), 'make a file in memory'));
  try {
    writeAll(fd.number, content, 'a file in memory');
    check(lib().lseek(fd.number, 0, 0), 'rewind a file in memory');
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** Reads two pipes until both have ended. */
function readBoth(
  path: string,
  stdout: number,
  stderr: number,
  deadline: number | undefined,
): [Uint8Array, Uint8Array] {
  const outputs = new Map([stdout, stderr].map((fd) => [fd, new Output()]));
  const buffer = new Uint8Array(64 << 10);
  const open = new Set(outputs.keys());
  while (open.size > 0) {
    for (const fd of readable(path, [...open], deadline)) {
      if (outputs.get(fd)?.readFrom(fd, buffer, path) !== true) open.delete(fd);
    }
  }
  const [out = new Output(), err = new Output()] = outputs.values();
  return [out.bytes, err.bytes];
}

/** Waits until some of these can be read without blocking: they have bytes, or are at their end. */
function readable(path: string, fds: readonly number[], deadline: number | undefined): number[] {
  const can = awaitReadable(fds, deadline === undefined ? -1 : Math.max(0, deadline - performance.now()));
  if (can.includes(true)) return fds.filter((_, i) => can[i]);
  throw new NetloomError('timed-out', `Cannot run "${path}": it had not ended in time, and was killed`);
}

/** What has come through a pipe. */
class Output {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  /** Reads what is available. @returns false at the end */
  readFrom(fd: number, buffer: Uint8Array, path: string): boolean {
    const count = check(
      uninterrupted(() => libc.read(fd, buffer, buffer.length)),
      `read the output of "${path}"`,
    );
    this.#length += count;
    if (this.#length > OUTPUT_MAX) {
      throw new NetloomError('too-long', `Cannot read the output of "${path}": it has more than ${OUTPUT_MAX} bytes`);
    }
    this.#chunks.push(buffer.slice(0, count));
    return count > 0;
  }

  get bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

/** Decodes the status as WIFEXITED and the like do. man 2 waitpid */
function wait(pid: number): { status: number; signal: number } {
  const word = new Int32Array(1);
  if (uninterrupted(() => lib().waitpid(pid, bytesOf(word), 0)) < 0)
    throw systemError(errno(), `wait for process ${pid}`);
  const status = word[0] ?? 0;
  const signal = status & 0x7f;
  return signal === 0 ? { status: (status >> 8) & 0xff, signal } : { status: -1, signal };
}

function bytesOf(array: Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** A value that is created on first use. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
