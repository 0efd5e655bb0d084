/**
 * A libc that fails on request. NB: import it before anything from src/. It wraps the adapter from then on; functions
 * that were bound earlier stay as they are.
 */
import { adapter } from '#ffi';

/** The errno with which a function fails. asm-generic/errno.h. */
const ERRNO: Readonly<Record<string, number>> = {
  open: 24, // EMFILE
  read: 5, // EIO
  write: 28, // ENOSPC
  statx: 13, // EACCES
  rename: 28,
  link: 28,
  unlink: 5,
  mkdir: 28,
  rmdir: 5,
  symlink: 28,
  readlink: 5,
  flock: 37, // ENOLCK
  fsync: 5,
  ioctl: 25, // ENOTTY
  socket: 24,
  setsockopt: 92, // ENOPROTOOPT
  sendto: 105, // ENOBUFS
  recvfrom: 105,
  poll: 12, // ENOMEM
  setns: 1, // EPERM
  getrandom: 38, // ENOSYS
  getdents64: 5,
  utimensat: 1,
  faccessat: 5,
};

/**
 * Functions that never fail here. The three ids cannot fail. `_exit` does not return. `close` releases the descriptor
 * whatever it returns (man 2 close), so the caller could do nothing about a failure.
 */
const NEVER = new Set(['geteuid', 'getpid', 'gettid', 'getppid', '_exit', 'close', '__errno_location']);

/**
 * How many readlink calls may fail. It is called for every process of the machine (src/netns/processes.ts); the first
 * few stand for the rest.
 */
const READLINKS = 3;

/** Functions that src/ calls again after EINTR. The others do not wait, so no signal interrupts them. */
const INTERRUPTIBLE = new Set(['open', 'read', 'write', 'flock', 'sendto', 'recvfrom', 'poll']);

const EINTR = 4;
const EIO = 5;
const ENOMEM = 12;

/**
 * `fail`: the call does nothing and fails. `lose`: it does its work and fails all the same. `interrupt`: EINTR.
 * `shorten`: a read or write of 1 byte. `mute`: from that message on, none is sent.
 */
export type Fault = 'fail' | 'lose' | 'interrupt' | 'shorten' | 'mute';

interface State {
  fault: Fault;
  /** Which of the counted calls fails, from 1; 0 for none. */
  at: number;
  /** The functions that are counted. If undefined, all that can fail. */
  only: ReadonlySet<string> | undefined;
  /** The names of the calls counted so far. */
  calls: string[];
  /** errno of the last call, if we made it fail. */
  errno: number | undefined;
  /** 1 while the thread is in another namespace, else 0. */
  depth: number;
}

const state: State = { fault: 'fail', at: 0, only: undefined, calls: [], errno: undefined, depth: 0 };

type Call = (...args: unknown[]) => number;

const load = adapter.load.bind(adapter);
const errno = adapter.errno.bind(adapter);

adapter.load = (signatures) => {
  const functions: Record<string, Call> = { ...(load(signatures) as Record<string, Call>) };
  for (const [name, call] of Object.entries(functions)) functions[name] = (...args) => around(name, call, args);
  return functions as ReturnType<typeof load<typeof signatures>>;
};
adapter.errno = () => state.errno ?? errno();

/**
 * Makes the N-th call fail while a function runs.
 * @param only the functions that may fail, instead of all
 * @returns the names of the calls that could have failed, in order; if they are fewer than N, none failed
 */
export function withFault(fault: Fault, at: number, run: () => void, only?: ReadonlySet<string>): readonly string[] {
  Object.assign(state, { fault, at, only, calls: [], errno: undefined, depth: 0 });
  try {
    run();
  } finally {
    state.at = 0;
  }
  return state.calls;
}

function around(name: string, call: Call, args: unknown[]): number {
  state.errno = undefined;
  if (state.at === 0 || !counts(name, args)) return really(name, call, args);
  state.calls.push(name);
  const isMeant = state.fault === 'mute' ? state.calls.length >= state.at : state.calls.length === state.at;
  if (!isMeant) return really(name, call, args);
  if (state.fault === 'shorten') return call(args[0], args[1], 1);
  if (state.fault === 'lose') call(...args);
  state.errno = errnoFor(name);
  return -1;
}

function really(name: string, call: Call, args: unknown[]): number {
  const result = call(...args);
  if (name === 'setns' && result >= 0) state.depth = state.depth === 0 ? 1 : 0;
  return result;
}

function counts(name: string, args: readonly unknown[]): boolean {
  if (NEVER.has(name) || state.only?.has(name) === false) return false;
  // The way home. A thread that cannot come back ends the process (src/netns/within.ts); the SIGKILL tests cover that.
  if (name === 'setns' && state.depth > 0) return false;
  if (name === 'readlink' && state.calls.filter((each) => each === name).length >= READLINKS) return false;
  if (state.fault === 'interrupt') return INTERRUPTIBLE.has(name);
  if (state.fault === 'mute') return name === 'sendto';
  if (state.fault === 'shorten') return (name === 'read' || name === 'write') && Number(args[2]) > 1;
  // For all other functions, the caller cannot tell `lose` from `fail`.
  if (state.fault === 'lose') return name === 'recvfrom' || name === 'sendto' || name === 'write';
  return true;
}

function errnoFor(name: string): number {
  if (state.fault === 'interrupt') return EINTR;
  // NB: not ENOBUFS. That means that messages were dropped for lack of space, and that those in the socket still have
  // to be read.
  if (state.fault === 'lose' && name === 'recvfrom') return ENOMEM;
  return ERRNO[name] ?? EIO;
}
