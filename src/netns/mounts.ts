/** The mounts that pin namespaces, as the calling process sees them. man 5 proc_pid_mountinfo, proc_pid_fdinfo */
import { O, open, readText } from '../ffi/file.ts';

/** A mount, as far as pins need it. */
interface Mount {
  /** The mount that this one lies on: for one over another at the same path, that other. */
  readonly parent: string;
  /** The inode where it pins a network namespace. */
  readonly netns: string | undefined;
}

/** What a path's topmost mount pins. */
export interface Pin {
  /** Whether there is a pin beneath, at the same path: then this one was put over it. */
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
 * The mount that a path leads into. NB: by descriptor, since a path may go by symbolic links that the kernel's list has
 * resolved (/var/run).
 */
function mountIdOf(path: string): string {
  using fd = open(path, O.RDONLY | O.NONBLOCK);
  return fieldOf(readText(`/proc/thread-self/fdinfo/${fd.number}`), 'mnt_id:');
}

function fieldOf(text: string, name: string): string {
  const line = text.split('\n').find((each) => each.startsWith(name)) ?? name;
  return line.slice(name.length).trim();
}

/** `ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAGS …] - TYPE SOURCE OPTIONS`, a line a mount */
function list(): ReadonlyMap<string, Mount> {
  const mounts = new Map<string, Mount>();
  for (const line of readText('/proc/thread-self/mountinfo').split('\n')) {
    const [id, parent, , root = ''] = line.split(' ');
    if (id === undefined || parent === undefined) continue;
    mounts.set(id, { parent, netns: root.startsWith('net:[') ? root : undefined });
  }
  return mounts;
}
