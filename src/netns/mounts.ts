/** The mounts that pin namespaces, as the calling process sees them. man 5 proc_pid_mountinfo, proc_pid_fdinfo */
import { O, open, readText } from '../ffi/file.ts';

/** A mount, as far as pins need it. */
interface Mount {
  /** The mount that this one lies on. For a mount over another at the same path, that is the other one. */
  readonly parent: string;
  /** `net:[INODE]` where it pins a network namespace. */
  readonly netns: string | undefined;
}

/** The topmost pin at a path. */
export interface Pin {
  /** Whether it covers another pin at the same path. */
  readonly covers: boolean;
}

/** The pin at a path; undefined where the path leads into a namespace in another way, such as `/proc/1/ns/net`. */
export function pinAtPath(path: string): Pin | undefined {
  const mounts = list();
  const top = mounts.get(mountIdOf(path));
  if (top?.netns === undefined) return undefined;
  return { covers: mounts.get(top.parent)?.netns !== undefined };
}

/**
 * The id of the mount that a path leads into. NB: found by descriptor, since a path may contain symbolic links
 * (/var/run), which the kernel's list has resolved.
 */
function mountIdOf(path: string): string {
  using fd = open(path, O.RDONLY | O.NONBLOCK);
  return fieldOf(readText(`/proc/thread-self/fdinfo/${fd.number}`), 'mnt_id:');
}

function fieldOf(text: string, name: string): string {
  const line = text.split('\n').find((each) => each.startsWith(name)) ?? name;
  return line.slice(name.length).trim();
}

/** `ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAGS …] - TYPE SOURCE OPTIONS`, one line per mount */
function list(): ReadonlyMap<string, Mount> {
  const mounts = new Map<string, Mount>();
  for (const line of readText('/proc/thread-self/mountinfo').split('\n')) {
    const [id, parent, , root = ''] = line.split(' ');
    if (id === undefined || parent === undefined) continue;
    mounts.set(id, { parent, netns: root.startsWith('net:[') ? root : undefined });
  }
  return mounts;
}
