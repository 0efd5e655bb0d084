/**
 * A store that is followed after it has been read once: what has changed since, node by node, as soon as a notification
 * comes.
 */
import type { Change, NodeRecord } from './record.ts';

export interface Feed extends Disposable {
  /**
   * Becomes readable when there may be news; undefined where no notifications come, and catchUp() has to be called
   * instead.
   */
  readonly fd: number | undefined;
  /**
   * Reads all nodes; undefined where the store is missing. Warns of records that cannot be read, and leaves them out.
   */
  records(warn: (message: string) => void): NodeRecord[] | undefined;
  /**
   * The changes since the last call of any of these methods, as far as notifications tell; undefined where all nodes
   * have to be read again.
   */
  news(): readonly Change[] | undefined;
  /** The same, including changes that no notification has told. */
  catchUp(): readonly Change[] | undefined;
}
