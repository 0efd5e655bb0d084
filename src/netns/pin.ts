/** Namespaces that live as long as a bind mount does, without a process. man 8 ip-netns. */
import { adapter } from '#ffi';
import { ERRNO, systemError } from '../ffi/errno.ts';
import { directoryOf, isRegular, makeDirectories, O, open, tryStat, unlink } from '../ffi/file.ts';
import { check, cString, errno, libc } from '../ffi/libc.ts';
import { pinAtPath } from './mounts.ts';
import { type Netns, netnsIdAt, OWN_NETNS, ownNetns } from './namespace.ts';

const lib = adapter.load({
  unshare: { args: ['i32'], returns: 'i32' },
  mount: { args: ['ptr', 'ptr', 'ptr', 'size', 'ptr'], returns: 'i32' },
  umount2: { args: ['ptr', 'i32'], returns: 'i32' },
});

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 0x1000;
const MNT_DETACH = 2;
const EX_SOFTWARE = 70;

/**
 * Makes a new network namespace and pins it at a path.
 * Equivalent to: `ip netns add NAME`, but at any path
 * @throws NetloomError EEXIST where something is at the path, EPERM without CAP_SYS_ADMIN
 */
export function pinNew(path: string): void {
  pinFile(path);
  using home = ownNetns();
  try {
    check(lib.unshare(CLONE_NEWNET), 'make a network namespace');
    try {
      pinAt(OWN_NETNS, path);
    } finally {
      if (libc.setns(home.fd, CLONE_NEWNET) < 0) libc._exit(EX_SOFTWARE);
    }
  } catch (error) {
    unlink(path);
    throw error;
  }
}

/** Makes the file that a namespace is pinned at. @throws NetloomError EEXIST where something is at the path */
export function pinFile(path: string): void {
  const directory = directoryOf(path);
  if (directory !== undefined) makeDirectories(directory);
  open(path, O.RDONLY | O.CREAT | O.EXCL, 0o444).close();
}

/** Pins the namespace of one path at another, where a file must exist. Equivalent to: `mount --bind FROM TO` */
export function pinAt(from: string, to: string): void {
  check(lib.mount(cString(from), cString(to), null, MS_BIND, null), `pin the network namespace "${to}"`);
}

/**
 * Pins a namespace over another one's pin. The path leads to a namespace at every moment, and unpinOver() brings the
 * one beneath back.
 * Equivalent to: `mount --bind /proc/self/fd/N PATH`
 */
export function pinOver(netns: Netns, path: string): void {
  pinAt(`/proc/thread-self/fd/${netns.fd}`, path);
}

/**
 * Undoes pinOver() if that namespace is at the path and covers another pin. Otherwise does nothing: the owner of the
 * path has removed it.
 * @param id Netns.id of the namespace
 */
export function unpinOver(path: string, id: string): boolean {
  if (netnsIdAt(path) !== id || pinAtPath(path)?.covers !== true) return false;
  check(lib.umount2(cString(path), MNT_DETACH), `unpin "${path}"`);
  return true;
}

/**
 * Removes a pin; the namespace ends with its last process and socket. An empty file is a pin whose mount is gone, as
 * after a boot.
 * @returns false where nothing was pinned; any other file stays
 */
export function unpin(path: string): boolean {
  if (lib.umount2(cString(path), MNT_DETACH) < 0) {
    const reason = errno();
    if (reason !== ERRNO.EINVAL && reason !== ERRNO.ENOENT) throw systemError(reason, `unpin "${path}"`);
    const stat = tryStat(path, { follow: false });
    if (stat === undefined || !isRegular(stat) || stat.size > 0) return false;
  }
  return unlink(path);
}
