/**
 * Mounts that only processes started here see. man 7 mount_namespaces. Like setns(2), unshare(2) moves only the calling
 * thread.
 */
import { adapter } from '#ffi';
import { type Fd, open, tryStat } from '../ffi/file.ts';
import { check, cString, libc } from '../ffi/libc.ts';

const lib = adapter.load({
  unshare: { args: ['i32'], returns: 'i32' },
  mount: { args: ['ptr', 'ptr', 'ptr', 'size', 'ptr'], returns: 'i32' },
  fchdir: { args: ['i32'], returns: 'i32' },
});

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x00020000;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SLAVE = 0x80000;
const O_PATH = 0o10000000;
const EX_SOFTWARE = 70;

/**
 * Runs a function in a copy of this process's mount namespace, and comes back. Processes that the function starts keep
 * the copy. Mounts that the host makes later appear in the copy, but not the other way round.
 * NB: synchronous, for the reason given at withNetns(). A thread that cannot come back must not go on.
 */
export function withOwnMounts<T>(inside: () => T): T {
  using home = open('/proc/thread-self/ns/mnt');
  using directory = open('.', O_PATH);
  check(lib.unshare(CLONE_NEWNS), 'make a mount namespace');
  try {
    check(lib.mount(null, cString('/'), null, MS_REC | MS_SLAVE, null), 'keep mounts to ourselves');
    return inside();
  } finally {
    // A thread that the engine has started meanwhile shares our root and working directory, and then setns() is
    // refused. So first make these our own again.
    const isAlone = lib.unshare(CLONE_FS) === 0;
    // setns() leaves the thread at the root of the namespace.
    if (!isAlone || libc.setns(home.number, CLONE_NEWNS) < 0 || lib.fchdir(directory.number) < 0)
      libc._exit(EX_SOFTWARE);
  }
}

/**
 * Shows one file in the place of another.
 * Equivalent to: `mount --bind FROM TO`
 * @returns false where `to` does not exist
 */
export function bindFile(from: string, to: string): boolean {
  if (tryStat(to) === undefined) return false;
  check(lib.mount(cString(from), cString(to), null, MS_BIND, null), `put "${from}" over "${to}"`);
  return true;
}

/**
 * Mounts the /sys of the thread's network namespace, and keeps the cgroups that were there.
 * Equivalent to: `mount -t sysfs sysfs /sys`
 */
export function mountSysfs(): void {
  using cgroups = tryOpenDirectory('/sys/fs/cgroup');
  check(
    lib.mount(cString('sysfs'), cString('/sys'), cString('sysfs'), 0, null),
    'mount the sysfs of the network namespace',
  );
  if (cgroups === undefined || tryStat('/sys/fs/cgroup') === undefined) return;
  const before = cString(`/proc/thread-self/fd/${cgroups.number}`);
  check(lib.mount(before, cString('/sys/fs/cgroup'), null, MS_BIND | MS_REC, null), 'keep the cgroups');
}

function tryOpenDirectory(path: string): Fd | undefined {
  return tryStat(path) === undefined ? undefined : open(path, O_PATH);
}
