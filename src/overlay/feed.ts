/**
 * A store as one follows it that has read it once: what has changed since, node by node, as soon as something tells of
 * it.
 */
import type { Change, NodeRecord } from './record.ts';

export interface Feed extends Disposable {
  /** Readable where there may be news; undefined where nothing tells of them, and they are to be asked for. */
  readonly fd: number | undefined;
  /** Reads all nodes; undefined where the store is not there. What cannot be read is said, and is no node. */
  records(warn: (message: string) => void): NodeRecord[] | undefined;
  /**
   * What has changed since the last call of any of these, as far as it was told; undefined where all nodes are to be
   * read.
   */
  news(): readonly Change[] | undefined;
  /** The same, and what nobody has told. */
  catchUp(): readonly Change[] | undefined;
}
