/**
 * Follows the records of a directory (file-store.ts). A file that has not changed is not read again. A change is
 * reported at once where the file system notifies of it. On a shared mount it does not notify of another machine's
 * changes: catchUp() finds those.
 */
import { tryList } from '../ffi/directory.ts';
import { tryReadText, tryStat } from '../ffi/file.ts';
import { IN, Watch } from '../ffi/watch.ts';
import type { Feed } from './feed.ts';
import { inOrder, isRecordName, readRecord, stampOf } from './file-store.ts';
import type { Change, NodeRecord } from './record.ts';

interface KnownFile {
  /** Inode, mtime and size: different for every content. */
  readonly print: string;
  readonly record: NodeRecord;
}

const silent = () => {};

export class DirectoryFeed implements Feed {
  readonly #directory: string;
  readonly #files = new Map<string, KnownFile>();
  #watch: Watch | undefined;
  /** The stamp of the directory when it was last listed. */
  #stamp = '';
  /** Identifies the watched directory: another one may have taken its place. */
  #inode = '';

  constructor(directory: string) {
    this.#directory = directory;
  }

  get fd(): number | undefined {
    return this.#watch?.fd;
  }

  news(): readonly Change[] | undefined {
    const names = this.#watch?.read();
    if (names === undefined) return this.#watch === undefined ? [] : undefined;
    const changes: Change[] = [];
    for (const name of names) {
      // NB: a file that cannot be read may be half written. If it stays like that, catchUp() finds it.
      const change = isRecordName(name) ? this.#look(name) : undefined;
      if (change !== undefined && change !== 'unreadable') changes.push(change);
    }
    return this.#clear(changes);
  }

  catchUp(): readonly Change[] | undefined {
    if (stampOf(this.#directory) === this.#stamp) return this.news();
    const names = this.#list();
    if (names === undefined) return undefined;
    const changes: Change[] = [];
    for (const name of names) {
      const change = this.#look(name);
      if (change === 'unreadable') return undefined;
      if (change !== undefined) changes.push(change);
    }
    return this.#clear(changes);
  }

  records(warn: (message: string) => void): NodeRecord[] | undefined {
    const names = this.#list();
    if (names === undefined) return undefined;
    for (const name of names) this.#look(name, warn);
    // NB: where the directory goes away while it is read, the nodes not read must not look as if they had left.
    if (this.#files.size < names.size && this.#inode !== inodeOf(this.#directory)) return undefined;
    return inOrder([...this.#files.values()].map(({ record }) => record));
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }

  /**
   * The names of all files that exist or were known. NB: it watches before it lists, so that no change in between is
   * missed.
   */
  #list(): ReadonlySet<string> | undefined {
    this.#stamp = stampOf(this.#directory);
    const inode = inodeOf(this.#directory);
    if (inode !== this.#inode) {
      this.#watch?.[Symbol.dispose]();
      const all = IN.CLOSE_WRITE | IN.MOVED_FROM | IN.MOVED_TO | IN.CREATE | IN.DELETE;
      this.#watch = Watch.tryOpen(this.#directory, all);
      this.#inode = inode;
    }
    const names = tryList(this.#directory)?.filter(isRecordName);
    return names && new Set([...names, ...this.#files.keys()]);
  }

  /** Checks removals: a node whose file is gone may have another file, or the whole directory may be gone. */
  #clear(changes: readonly Change[]): readonly Change[] | undefined {
    const gone = new Set(changes.flatMap((change) => ('gone' in change ? [change.gone] : [])));
    if (gone.size === 0) return changes;
    if (this.#inode !== inodeOf(this.#directory)) return undefined;
    for (const { record } of this.#files.values()) if (gone.has(record.name)) return undefined;
    return changes;
  }

  #look(name: string, warn: (message: string) => void = silent): Change | 'unreadable' | undefined {
    const path = `${this.#directory}/${name}`;
    const known = this.#files.get(name);
    const stat = tryStat(path);
    // NB: a node touches its file to say that it is alive, which does not change the content. The file is read again
    // nevertheless: that is one in thirty a second.
    const print = stat === undefined ? '' : `${stat.ino}:${stat.mtime}:${stat.size}`;
    if (known !== undefined && known.print === print) return undefined;
    const text = stat === undefined ? undefined : tryReadText(path);
    const record = text === undefined ? undefined : readRecord(path, text, warn);
    if (record !== undefined) {
      this.#files.set(name, { print, record });
      return known !== undefined && isSame(known.record, record) ? undefined : { put: record };
    }
    if (text !== undefined) {
      if (warn !== silent) this.#files.delete(name);
      return 'unreadable';
    }
    this.#files.delete(name);
    return known === undefined ? undefined : { gone: known.record.name };
  }
}

function inodeOf(directory: string): string {
  const stat = tryStat(directory);
  return stat === undefined ? '' : `${stat.dev}:${stat.ino}`;
}

function isSame(one: NodeRecord, other: NodeRecord): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
