/**
 * Which leases an attachment has, without reading them all: a directory beside netloom's state with one symbolic link
 * an attachment, named `<container id>:<ifname>`, whose target lists its addresses. A link is made by one system call,
 * so it is never half written.
 *
 * The index is a cache, in two ways. Nobody gets an address twice because of it: that link(2) in the network's
 * directory is atomic sees to that. And an entry counts only if the lease file itself names the same owner. So all that
 * it must not do is miss a lease, which could happen where the reference plugin, or a person, changes the network's
 * directory behind its back. Such a change is noticed by the directory's mtime:
 *
 * NB: comparing mtimes as they come would not do. Kernels before 6.13 stamp files with the time of the last tick, so
 * two changes within up to 10 ms look like one, and a lease made by the reference right after ours would stay unseen.
 * Therefore we set the mtime ourselves, to a time in the past that the index keeps (`.stamp`), after each change of
 * ours. Any change by others sets it to the present, which is never equal to that. A crash before we have set it does
 * the same. In both cases the directory is read once, and the index made anew.
 */

import { tryList } from '../../ffi/directory.ts';
import { makeDirectories, type Stat, tryReadlink, trySymlink, unlink } from '../../ffi/file.ts';
import { fileName } from '../../file-name.ts';
import type { Owner } from './lease.ts';

/** NB: no attachment's link begins with a dot (fileName). */
const STAMP = '.stamp';

export class LeaseIndex {
  readonly #path: string;

  /** @param path where the index is, or is to be */
  constructor(path: string) {
    this.#path = path;
  }

  /** Whether the index has all leases of a network's directory, of which this is the state. */
  isCurrent(directory: Stat): boolean {
    return tryReadlink(`${this.#path}/${STAMP}`) === stampOf(directory);
  }

  /** The names of the files in which an attachment's leases are, or have been. */
  get(owner: Owner): readonly string[] {
    return tryReadlink(this.#entry(owner))?.split(',') ?? [];
  }

  /** @throws NetloomError where the index cannot be written */
  set(owner: Owner, names: readonly string[]): void {
    const entry = this.#entry(owner);
    if (names.length === 0) {
      unlink(entry);
      return;
    }
    const target = names.join(',');
    if (trySymlink(target, entry)) return;
    if (tryReadlink(entry) === target) return;
    unlink(entry);
    trySymlink(target, entry);
  }

  /**
   * Makes the index anew. It is current from the moment that the directory has the mtime of the state given.
   * @throws NetloomError where the index cannot be written
   */
  rebuild(leases: Iterable<readonly [Owner, readonly string[]]>, directory: Stat): void {
    makeDirectories(this.#path, 0o700);
    unlink(`${this.#path}/${STAMP}`);
    const stale = new Set(tryList(this.#path));
    for (const [owner, names] of leases) {
      this.set(owner, names);
      stale.delete(linkName(owner));
    }
    for (const name of stale) unlink(`${this.#path}/${name}`);
    trySymlink(stampOf(directory), `${this.#path}/${STAMP}`);
  }

  #entry(owner: Owner): string {
    return `${this.#path}/${linkName(owner)}`;
  }
}

/** Where the index of a network's directory is. @param directory as an absolute path */
export function indexPath(state: string, directory: string): string {
  return `${state}/leases/${fileName(directory.replaceAll('%', '%25').replaceAll('/', '%2F'))}`;
}

function linkName({ containerId, ifname }: Owner): string {
  return fileName(`${containerId}:${ifname}`);
}

/** Device and inode are in it, so that a directory made anew under the same path is another one. */
function stampOf({ dev, ino, mtime }: Pick<Stat, 'dev' | 'ino' | 'mtime'>): string {
  return `${dev}:${ino}:${mtime}`;
}
