/** Network namespaces as open files. man 7 network_namespaces; a namespace is one (device, inode) of nsfs. */
import { NetloomError } from '../error.ts';
import { type Fd, O, open, type Stat, statFd, tryOpen, tryStat } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';

/** The namespace of the calling thread. */
export const OWN_NETNS = '/proc/thread-self/ns/net';

/** _IO(0xb7, 3) of linux/nsfs.h: which type of namespace a file is. */
const NS_GET_NSTYPE = 0xb703;
const CLONE_NEWNET = 0x40000000;

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
    return idOf(statFd(this.fd));
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
 * @throws NetloomError `no-namespace` where there is no such file, `not-a-namespace` where it is something else
 */
export function openNetns(path: string): Netns {
  const netns = tryOpenNetns(path);
  if (netns === undefined)
    throw new NetloomError('no-namespace', `Cannot open the network namespace "${path}": there is no such file`);
  return netns;
}

/** As openNetns(), but undefined where the path leads nowhere. */
export function tryOpenNetns(path: string): Netns | undefined {
  // NB: a path may be a named pipe, which otherwise blocks until somebody writes into it.
  const fd = tryOpen(path, O.RDONLY | O.NONBLOCK);
  if (fd === undefined) return undefined;
  if (isNetns(fd)) return new Netns(path, fd);
  fd.close();
  throw new NetloomError('not-a-namespace', `Cannot use "${path}" as a network namespace: it is something else`, {
    hint: 'the namespace was unmounted, or never pinned there',
  });
}

/** The namespace of the calling thread. */
export function ownNetns(): Netns {
  return new Netns(OWN_NETNS, open(OWN_NETNS));
}

/**
 * What Netns.id would be for the path, without opening it; undefined where there is no such file. For a file that is
 * not a namespace, the id equals that of no namespace.
 */
export function netnsIdAt(path: string): string | undefined {
  const stat = tryStat(path);
  return stat && idOf(stat);
}

function idOf({ dev, ino }: Stat): string {
  return `${dev}/${ino}`;
}

/** What the kernel calls a namespace in links and mounts: `net:[4026531840]`. */
export function nsfsName(netns: Netns): string {
  return `net:[${statFd(netns.fd).ino}]`;
}

function isNetns(fd: Fd): boolean {
  return libc.ioctl(fd.number, NS_GET_NSTYPE, 0) === CLONE_NEWNET;
}
