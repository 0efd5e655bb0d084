/**
 * Nodes that the store has forgotten, and did not tell so: it was made anew, or restored from what it was earlier. They are known for a while yet, until each has come
 * back with the prefix that it had: nothing that works may end because a store has lost its memory.
 */
import type { NodeRecord } from '../record.ts';
import type { Listing } from './registry.ts';

/** For how long, in ms. */
const KEEP = 600_000;

export class Forgotten {
  #nodes: readonly NodeRecord[] = [];
  #until = 0;
  #cluster: string | undefined;
  /** The highest that the store is known to have been at. */
  #revision = 0n;

  /** Keeps nodes that the store may not know. */
  keep(nodes: readonly NodeRecord[]): void {
    this.#nodes = nodes;
    this.#until = performance.now() + KEEP;
  }

  /** Notes how far the store was, by whichever answer. */
  saw(revision: bigint): void {
    if (revision > this.#revision) this.#revision = revision;
  }

  /**
   * Looks whether the store is another than it was, or has gone back.
   * @param known asked only then: it may be thousands
   */
  compare({ cluster, revision }: Pick<Listing, 'cluster' | 'revision'>, known: () => readonly NodeRecord[]): void {
    const before = { cluster: this.#cluster, revision: this.#revision };
    this.#cluster = cluster;
    this.#revision = BigInt(revision);
    if (before.cluster === undefined) return;
    if (before.cluster !== cluster || this.#revision < before.revision) this.keep(known());
  }

  /** Whether there may be such nodes. */
  get isAny(): boolean {
    return this.#nodes.length > 0 && performance.now() <= this.#until;
  }

  /** The nodes that the store has, and those that it should. */
  with(records: readonly NodeRecord[]): NodeRecord[] {
    if (performance.now() > this.#until) return [...records];
    const names = new Set(records.map(({ name }) => name));
    const kept = this.#nodes.filter(
      ({ name, subnet }) => !names.has(name) && !records.some((record) => record.subnet.overlaps(subnet)),
    );
    return [...records, ...kept].sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
  }
}
