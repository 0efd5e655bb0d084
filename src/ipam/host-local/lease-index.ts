/**
 * Which leases an attachment has, without reading them all: a directory in netloom's state with one symbolic link per
 * attachment, named `<container id>:<ifname>`, whose target lists its addresses. One system call creates a link, so it
 * is never half written.
 *
 * The index is only a cache. It cannot cause an address to be allocated twice: link(2) in the network's directory,
 * which is atomic, prevents that. And an entry counts only if the lease file itself names the same owner. The one fault
 * that matters is a missing lease. That could happen where the reference plugin, or a person, changes the network's
 * directory without our knowledge. The directory's mtime shows such a change:
 *
 * NB: comparing mtimes as the kernel sets them is not enough. Kernels before 6.13 stamp files with the time of the last
 * tick, so two changes within up to 10 ms look like one, and a lease that the reference made right after ours would go
 * unnoticed. Therefore, after each change of ours, we set the mtime ourselves, to a time in the past that the index
 * keeps (`.stamp`). Any change by others sets it to the present, which never equals that time. So does a crash before
 * we have set it. In both cases the directory is read once, and the index is rebuilt.
 */

import { tryList } from '../../ffi/directory.ts';
import { makeDirectories, type Stat, tryReadlink, trySymlink, unlink } from '../../ffi/file.ts';
import { fileName } from '../../file-name.ts';
import type { Owner } from './lease.ts';

/** NB: no attachment's link begins with a dot (fileName). */
const STAMP = '.stamp';

export class LeaseIndex {
  readonly #path: string;

  /** @param path of the index; it need not exist yet */
  constructor(path: string) {
    this.#path = path;
  }

  /** Whether the index has all leases of a network's directory. @param directory the present state of that directory */
  isCurrent(directory: Stat): boolean {
    return tryReadlink(`${this.#path}/${STAMP}`) === stampOf(directory);
  }

  /** The names of the lease files that an attachment has, or has had. */
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
   * Rebuilds the index. It is current once the directory has the mtime of the given state.
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

/** The path of the index of a network's directory. @param directory as an absolute path */
export function indexPath(state: string, directory: string): string {
  return `${state}/leases/${fileName(directory.replaceAll('%', '%25').replaceAll('/', '%2F'))}`;
}

function linkName({ containerId, ifname }: Owner): string {
  return fileName(`${containerId}:${ifname}`);
}

/** With device and inode, so that a directory that was recreated at the same path differs. */
function stampOf({ dev, ino, mtime }: Pick<Stat, 'dev' | 'ino' | 'mtime'>): string {
  return `${dev}:${ino}:${mtime}`;
}
