/**
 * Every network namespace that can be found: by its processes, and by the mounts that pin it. man 5 proc_pid_ns,
 * proc_pid_mountinfo
 */
import { hasCode } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { readText, tryReadlink } from '../ffi/file.ts';
import { OWN_NETNS } from './namespace.ts';

/** A namespace with the ways into it. */
export interface FoundNetns {
  /** `4026531840`: the inode of nsfs, unique while the namespace lives. */
  readonly inode: string;
  /** Where it is mounted, as this process sees the mounts. */
  readonly pins: readonly string[];
  /** Its processes, lowest number first, as this process sees them. NB: only the first thread of each is examined. */
  readonly pids: readonly number[];
}

export interface EveryNetns {
  /** The one that the calling thread is in. */
  readonly own: string;
  readonly found: readonly FoundNetns[];
  /** How many processes we lack the permission to examine. */
  readonly unreadable: number;
}

export function everyNetns(): EveryNetns {
  const pins = new Map<string, string[]>();
  const pids = new Map<string, number[]>();
  let unreadable = 0;
  const put = <T>(map: Map<string, T[]>, inode: string, value: T) => {
    const values = map.get(inode);
    if (values === undefined) map.set(inode, [value]);
    else values.push(value);
  };
  const own = inodeOf(tryReadlink(OWN_NETNS)) ?? '';
  for (const [inode, path] of mounted()) put(pins, inode, path);
  for (const pid of processes()) {
    const inode = namespaceOf(pid);
    if (inode === 'denied') unreadable++;
    else if (inode !== undefined) put(pids, inode, pid);
  }
  const inodes = new Set([own, ...pids.keys(), ...pins.keys()]);
  const found = [...inodes].map((inode) => ({
    inode,
    // A mount may be listed twice, one over the other.
    pins: [...new Set(pins.get(inode))],
    pids: pids.get(inode) ?? [],
  }));
  return { own, found, unreadable };
}

function processes(): number[] {
  const numbers = (tryList('/proc') ?? []).map(Number).filter((pid) => pid > 0);
  return numbers.sort((a, b) => a - b);
}

/** Undefined for a process that has ended since. */
function namespaceOf(pid: number): string | undefined {
  try {
    return inodeOf(tryReadlink(`/proc/${pid}/ns/net`));
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM')) return 'denied';
    if (hasCode(error, 'ESRCH')) return undefined;
    throw error;
  }
}

/** `ID PARENT MAJOR:MINOR ROOT MOUNTPOINT …`, one line per mount; the root of a pin is the namespace. */
function mounted(): [inode: string, path: string][] {
  return readText('/proc/thread-self/mountinfo')
    .split('\n')
    .flatMap((line): [string, string][] => {
      const [, , , root, path] = line.split(' ');
      const inode = inodeOf(root);
      return inode === undefined || path === undefined ? [] : [[inode, unescaped(path)]];
    });
}

/** Spaces, tabs, line feeds and backslashes in a path are octal escapes there. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function inodeOf(name: string | undefined): string | undefined {
  return name?.startsWith('net:[') === true ? name.slice('net:['.length, -1) : undefined;
}
