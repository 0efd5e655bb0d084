/** Running code inside another network namespace. setns(2) moves the calling thread only. */
import { NetloomError } from '../error.ts';
import { check, libc } from '../ffi/libc.ts';
import { type Netns, ownNetns } from './namespace.ts';

const CLONE_NEWNET = 0x40000000;
/** sysexits.h: an internal software error. */
const EX_SOFTWARE = 70;

/** How many visits the thread is in, one within another. */
let visits = 0;

/** The thread's own namespace where it is kept open; otherwise each visit opens it. NB: per thread. */
let kept: Netns | undefined;

/**
 * From now on this thread keeps its own namespace open to come back to. For a long-lived thread that always belongs to
 * the same namespace.
 */
export function keepHome(): void {
  kept ??= ownNetns();
}

/** Whether the calling thread is in a namespace that is not its own. */
export function isVisiting(): boolean {
  return visits > 0;
}

/**
 * Runs a function inside a namespace and comes back. Synchronous on purpose: anything else that ran on this thread
 * meanwhile would run in that namespace too. Open sockets inside and use them outside: they stay in their namespace, so
 * only sysctls need a second visit.
 * NB: a thread that cannot come back must not go on, so the process ends then.
 */
export function withNetns<T>(netns: Netns, inside: () => T extends PromiseLike<unknown> ? never : T): T {
  using visit = new DisposableStack();
  // NB: a nested visit comes back to the namespace of the outer one.
  const home = kept !== undefined && visits === 0 ? kept : visit.use(ownNetns());
  if (libc.setns(netns.fd, CLONE_NEWNET) < 0) {
    check(-1, `enter the network namespace "${netns.path}"`);
  }
  visits++;
  try {
    return inside();
  } finally {
    visits--;
    if (libc.setns(home.fd, CLONE_NEWNET) < 0) abandon(netns.path);
  }
}

function abandon(path: string): never {
  const text = new TextEncoder().encode(`netloom: cannot leave the network namespace "${path}", giving up\n`);
  libc.write(2, text, text.length);
  libc._exit(EX_SOFTWARE);
  throw new NetloomError('lost', `Cannot leave the network namespace "${path}"`);
}
