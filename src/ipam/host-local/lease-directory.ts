/**
 * The directory of a network's leases, in the layout of the reference; both plugins may work on it at the same time. It
 * is `<dataDir>/<network>/` with one file per address (lease.ts), `last_reserved_ip.<range set>`, and `lock`. Each call
 * holds flock(2) on `lock` while it works.
 *
 * A lease is written to a hidden file first, and gets its name by link(2). That succeeds for one process only, and
 * others see the whole lease or none. Nothing is synced: after a power loss a lease means nothing, because its
 * container is gone too. A power loss may leave an empty file, which is reclaimed.
 */
import { hasCode, messageOf, NetloomError } from '../../error.ts';
import { tryList } from '../../ffi/directory.ts';
import {
  type Fd,
  isDirectory,
  isRegular,
  lock,
  makeDirectories,
  O,
  open,
  type Stat,
  statFd,
  tryLink,
  tryOpen,
  tryReadlink,
  tryReadText,
  tryStat,
  unlink,
  writeAll,
} from '../../ffi/file.ts';
import { trySetMtime } from '../../ffi/mtime.ts';
import { truncate } from '../../ffi/truncate.ts';
import { Ip } from '../../net/ip.ts';
import { isSameOwner, leaseText, type Owner, readLease } from './lease.ts';
import { indexPath, LeaseIndex } from './lease-index.ts';

/** The location of a network's leases. */
export interface LeasePlace {
  readonly dataDir: string;
  readonly network: string;
  /** netloom's own directory for persistent state. */
  readonly state: string;
  /** Reports what a person should look at, but what does not stop the work. */
  warn(message: string): void;
}

/** NB: not an address, so the reference sees only a file that it may remove. */
const TEMPORARY = '.netloom.tmp';
const LAST_RESERVED = 'last_reserved_ip.';
/** How far in the past the mtime lies that shows that nobody else has changed the directory. */
const PAST = 2_000_000_000n;

/** The files of each owner's leases. */
type Leases = Map<string, { readonly owner: Owner; readonly names: string[] }>;

export class LeaseDirectory implements Disposable {
  readonly path: string;
  readonly #lock: Fd;
  readonly #index: LeaseIndex;
  readonly #warn: (message: string) => void;
  /** The directory's mtime with which the index is current; undefined where it is not. */
  #mtime: bigint | undefined;
  #isChanged = false;

  private constructor(path: string, lockFd: Fd, place: LeasePlace) {
    this.path = path;
    this.#lock = lockFd;
    this.#warn = (message) => place.warn(message);
    this.#index = new LeaseIndex(indexPath(place.state, path));
    const stat = this.#stat();
    this.#mtime = this.#index.isCurrent(stat) ? stat.mtime : undefined;
  }

  /** Waits for the lock of a network's directory, which is created if missing. */
  static create(place: LeasePlace): LeaseDirectory {
    return LeaseDirectory.#open(place, true) as LeaseDirectory; // never undefined with true
  }

  /** As create(), but undefined where there is no such directory. */
  static tryOpen(place: LeasePlace): LeaseDirectory | undefined {
    return LeaseDirectory.#open(place, false);
  }

  static #open(place: LeasePlace, creates: boolean): LeaseDirectory | undefined {
    const path = directoryOf(place);
    for (;;) {
      const fd = openLock(path, creates);
      if (fd === undefined) return undefined;
      using guard = new DisposableStack();
      guard.use(fd);
      lock(fd.number, `${path}/lock`);
      // The network may have been removed while we waited. Then this is the lock of a directory that no longer exists.
      if (tryStat(`${path}/lock`)?.ino !== statFd(fd.number).ino) continue;
      const directory = new LeaseDirectory(path, fd, place);
      guard.move();
      return directory;
    }
  }

  /** The names of the lease files of an attachment, and of those leases of its container that name no interface. */
  find(owner: Owner): { readonly own: readonly string[]; readonly anyInterface: readonly string[] } {
    const any: Owner = { containerId: owner.containerId, ifname: '' };
    if (this.#mtime === undefined) {
      const leases = this.scan();
      const own = leases.get(leaseText(owner))?.names ?? [];
      return { own, anyInterface: leases.get(leaseText(any))?.names ?? [] };
    }
    return { own: this.#verified(owner), anyInterface: this.#verified(any) };
  }

  /** Records in the index which leases an attachment has now. */
  record(owner: Owner, names: readonly string[]): void {
    if (this.#mtime === undefined) return;
    try {
      this.#index.set(owner, names);
    } catch (error) {
      this.#distrust(error);
    }
  }

  /**
   * Reads all leases, and rebuilds the index from them. Also cleans up after a crash.
   * @param keeps false for a lease that is to be freed
   */
  scan(keeps: (owner: Owner, name: string) => boolean = () => true): Leases {
    const leases: Leases = new Map();
    const unreadable: string[] = [];
    for (const name of tryList(this.path) ?? []) {
      if (name === TEMPORARY) this.tryFree(name);
      if (Ip.tryParse(name) === undefined) continue;
      const owner = this.#tryOwnerOf(name, unreadable);
      if (owner === undefined) continue;
      if (!keeps(owner, name)) {
        this.#remove(name);
        continue;
      }
      const known = leases.get(leaseText(owner));
      if (known === undefined) leases.set(leaseText(owner), { owner, names: [name] });
      else known.names.push(name);
    }
    // An index that lacks a lease must never be trusted.
    if (unreadable.length > 0) this.#mtime = undefined;
    else this.#reindex(leases);
    return leases;
  }

  /** The addresses that have a file, including damaged ones. */
  taken(): Ip[] {
    return (tryList(this.path) ?? []).map((name) => Ip.tryParse(name)).filter((ip) => ip !== undefined);
  }

  /** Removes the empty lease files of some addresses. @returns whether there were any */
  reclaimEmpty(ips: Iterable<Ip>): boolean {
    let found = false;
    for (const ip of ips) {
      const stat = tryStat(`${this.path}/${ip}`, { follow: false });
      if (stat !== undefined && isRegular(stat) && stat.size === 0) found = this.#reclaim(ip.toString()) || found;
    }
    return found;
  }

  /**
   * Writes a lease, which take() can then link to an address. Disposing of the result removes the prepared file, not
   * what was taken.
   */
  prepare(owner: Owner): Disposable {
    const path = `${this.path}/${TEMPORARY}`;
    this.#isChanged = true;
    using undo = new DisposableStack();
    undo.defer(() => this.tryFree(TEMPORARY)); // a failure here must not undo the leases
    using fd = this.#createTemporary(path);
    writeAll(fd.number, new TextEncoder().encode(leaseText(owner)), `"${path}"`);
    return undo.move();
  }

  /** Links the prepared lease to an address. @returns false where the address is taken */
  take(ip: Ip): boolean {
    return tryLink(`${this.path}/${TEMPORARY}`, `${this.path}/${ip}`);
  }

  /** Frees an address. */
  free(name: string): void {
    this.#remove(name);
  }

  /** As free(), for an undo: the next scan finds what cannot be removed now. */
  tryFree(name: string): void {
    try {
      this.#remove(name);
    } catch (error) {
      this.#mtime = undefined;
      this.#warn(messageOf(error));
    }
  }

  /** The holder of an address, for a message. */
  holder(ip: Ip): string {
    const content = readLease(`${this.path}/${ip}`);
    if (content?.state !== 'owned') return `"${this.path}/${ip}" is damaged`;
    return `"${this.path}/${ip}" names container ${content.owner.containerId}`;
  }

  /** The last address allocated from a range set. A damaged file only affects the order, as in the reference. */
  lastReserved(index: number): Ip | undefined {
    return Ip.tryParse(tryReadText(`${this.path}/${LAST_RESERVED}${index}`) ?? '');
  }

  setLastReserved(index: number, ip: Ip): void {
    // In place: that changes no directory entry, and what a crash leaves only affects the order.
    // NB: truncated afterwards. If a file is truncated to zero first, ext4 writes it to disk when it is closed
    // (auto_da_alloc), which takes 0.15 ms.
    const path = `${this.path}/${LAST_RESERVED}${index}`;
    const text = new TextEncoder().encode(ip.toString());
    using fd = open(path, O.WRONLY | O.CREAT, 0o644);
    writeAll(fd.number, text, `"${path}"`);
    truncate(fd.number, text.length, path);
  }

  [Symbol.dispose](): void {
    // NB: only now, when the index matches the directory. If we are killed before, the mtime is one that nobody trusts.
    if (this.#isChanged && this.#mtime !== undefined) trySetMtime(this.path, this.#mtime);
    this.#lock.close();
  }

  /** The entries of the index that the lease files confirm. */
  #verified(owner: Owner): string[] {
    return this.#index.get(owner).filter((name) => {
      const actual = this.#ownerOf(name);
      return actual !== undefined && isSameOwner(actual, owner);
    });
  }

  /**
   * The owner of a lease. An empty lease is removed. A damaged one is reported and stays: it may belong to somebody.
   */
  #ownerOf(name: string): Owner | undefined {
    const content = readLease(`${this.path}/${name}`);
    if (content?.state === 'owned') return content.owner;
    if (content?.state === 'empty') this.#reclaim(name);
    if (content?.state === 'unreadable') throw content.error;
    if (content?.state === 'damaged') {
      this.#warn(
        `Cannot tell whose lease "${this.path}/${name}" is: ${content.why}. Remove the file to free the address`,
      );
    }
    return undefined;
  }

  /** As #ownerOf(), for a scan: a lease that cannot be read now must not keep the others from being found. */
  #tryOwnerOf(name: string, unreadable: string[]): Owner | undefined {
    try {
      return this.#ownerOf(name);
    } catch (error) {
      unreadable.push(name);
      this.#warn(messageOf(error));
      return undefined;
    }
  }

  #createTemporary(path: string): Fd {
    const flags = O.WRONLY | O.CREAT | O.EXCL;
    try {
      return open(path, flags, 0o644);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      // NB: removed, never truncated. A crash may have left it as the second name of a valid lease.
      unlink(path);
      return open(path, flags, 0o644);
    }
  }

  #reclaim(name: string): boolean {
    this.#warn(`The lease "${this.path}/${name}" is empty, as a crash leaves it: it is removed`);
    this.#remove(name);
    return true;
  }

  #remove(name: string): void {
    this.#isChanged = true;
    unlink(`${this.path}/${name}`);
  }

  #reindex(leases: Leases): void {
    try {
      this.#mtime = undefined;
      // From the clock, not from the directory's mtime: the same value must not come twice, even if others keep an
      // index of this directory too.
      const past = BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1_000_000)) - PAST;
      if (!trySetMtime(this.path, past)) return;
      const stat = this.#stat(); // as the file system stores it: some keep whole seconds only
      const entries = [...leases.values()].map(({ owner, names }) => [owner, names] as const);
      this.#index.rebuild(entries, stat);
      this.#mtime = stat.mtime;
      this.#isChanged = true;
    } catch (error) {
      this.#distrust(error);
    }
  }

  /** Without an index the work goes on, only more slowly: the mtime stays as it is, and the next call scans. */
  #distrust(error: unknown): void {
    this.#mtime = undefined;
    this.#warn(`Cannot keep the index of "${this.path}", calls will be slow: ${messageOf(error)}`);
  }

  #stat(): Stat {
    const stat = tryStat(this.path);
    if (stat === undefined) {
      throw new NetloomError(
        'ENOENT',
        `Cannot use the leases in "${this.path}": ENOENT, somebody has removed the directory`,
      );
    }
    return stat;
  }
}

/** The absolute path of a network's directory. */
export function directoryOf({ dataDir, network }: Pick<LeasePlace, 'dataDir' | 'network'>): string {
  const absolute = dataDir.startsWith('/') ? dataDir : `${tryReadlink('/proc/self/cwd') ?? ''}/${dataDir}`;
  const path = `${absolute}/${network}`;
  return path.includes('//') ? path.replace(/\/+/g, '/') : path;
}

function openLock(path: string, creates: boolean): Fd | undefined {
  const found = tryOpen(`${path}/lock`);
  if (found !== undefined) return found;
  const stat = tryStat(path);
  if (stat === undefined && !creates) return undefined;
  if (stat === undefined) makeDirectories(path);
  else if (!isDirectory(stat))
    throw new NetloomError('ENOTDIR', `Cannot keep leases in "${path}": ENOTDIR, not a directory`);
  return open(`${path}/lock`, O.RDONLY | O.CREAT, 0o600);
}
