/**
 * Whether a caller sees the world as this process does: root, in the same namespaces and below the same root directory.
 */
import { type Fd, statFd, tryStat } from '../ffi/file.ts';
import type { Peer } from '../ffi/unix-socket.ts';

/** What is compared, by paths in /proc. The network namespace comes as an open file. */
const SAME = ['ns/mnt', 'ns/user', 'root'] as const;

export class Surroundings {
  readonly #netns: string;
  readonly #own: readonly (string | undefined)[];

  constructor() {
    this.#netns = idOf('/proc/thread-self/ns/net') ?? '';
    this.#own = SAME.map((name) => idOf(`/proc/thread-self/${name}`));
  }

  /**
   * Why a call must not be executed here; undefined where it may.
   * NB: what /proc says of the peer comes from the kernel, not from the peer.
   */
  faultOf({ pid, uid }: Peer, netns: Fd): string | undefined {
    if (uid !== 0) return 'the caller is not root';
    const stat = statFd(netns.number);
    if (`${stat.dev}/${stat.ino}` !== this.#netns) return 'the caller is in another network namespace';
    for (let i = 0; i < SAME.length; i++) {
      const theirs = pid > 0 ? idOf(`/proc/${pid}/${SAME[i]}`) : undefined;
      if (theirs === undefined) return 'the caller is gone, or in another PID namespace';
      if (theirs !== this.#own[i]) return `the caller has another /proc/self/${SAME[i]}`;
    }
    return undefined;
  }
}

function idOf(path: string): string | undefined {
  const stat = tryStat(path);
  return stat && `${stat.dev}/${stat.ino}`;
}
