/** Network namespaces as open files. man 7 network_namespaces; a namespace is one (device, inode) of nsfs. */
import { NetloomError } from '../error.ts';
import { type Fd, open, statFd, tryOpen } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';

/** The namespace of the calling thread. */
export const OWN_NETNS = '/proc/thread-self/ns/net';

/** f_type of nsfs, and of /proc where kernels before 3.19 kept namespaces. linux/magic.h. */
const NSFS_MAGIC = 0x6e736673;
const PROC_SUPER_MAGIC = 0x9fa0;

/** An open network namespace. While it is open the kernel keeps it, whatever becomes of its path and its processes. */
export class Netns implements Disposable {
  readonly path: string;
  readonly #fd: Fd;

  constructor(path: string, fd: Fd) {
    this.path = path;
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Device and inode: equal for two paths of one namespace, and for nothing else while either is open. */
  get id(): string {
    const { dev, ino } = statFd(this.fd);
    return `${dev}/${ino}`;
  }

  isSameAs(other: Netns): boolean {
    return this.id === other.id;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/**
 * Opens a namespace by its path.
 * @throws NetloomError `no-namespace` where there is nothing, `not-a-namespace` where there is something else
 */
export function openNetns(path: string): Netns {
  const netns = tryOpenNetns(path);
  if (netns === undefined)
    throw new NetloomError('no-namespace', `Cannot open the network namespace "${path}": there is no such file`);
  return netns;
}

/** As openNetns(), but undefined where the path leads nowhere, or to an empty file: what a pin is after its namespace was unmounted. */
export function tryOpenNetns(path: string): Netns | undefined {
  const fd = tryOpen(path);
  if (fd === undefined) return undefined;
  if (isNsfs(fd)) return new Netns(path, fd);
  fd.close();
  throw new NetloomError('not-a-namespace', `Cannot use "${path}" as a network namespace: it is an ordinary file`, {
    hint: 'the namespace was unmounted, or never pinned there',
  });
}

/** The namespace of the calling thread. */
export function ownNetns(): Netns {
  return new Netns(OWN_NETNS, open(OWN_NETNS));
}

function isNsfs(fd: Fd): boolean {
  const buffer = new Uint8Array(128);
  if (libc.fstatfs(fd.number, buffer) < 0) return false;
  // struct statfs begins with f_type, a long; both magics fit 32 bits.
  const type = new DataView(buffer.buffer).getUint32(0, true);
  return type === NSFS_MAGIC || type === PROC_SUPER_MAGIC;
}
