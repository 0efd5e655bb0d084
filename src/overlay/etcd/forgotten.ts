/**
 * Nodes that the store has forgotten without reporting it: it was made anew, or restored from an earlier state. They
 * are kept for a while, until each has come back with its former prefix: nothing that works may stop because a store
 * has lost its memory.
 */
import type { NodeRecord } from '../record.ts';
import type { Listing } from './registry.ts';

/** For how long, in ms. */
const KEEP = 600_000;

export class Forgotten {
  #nodes: readonly NodeRecord[] = [];
  #until = 0;
  #cluster: string | undefined;
  /** The highest revision that the store is known to have had. */
  #revision = 0n;

  /** Keeps nodes that the store may not know. */
  keep(nodes: readonly NodeRecord[]): void {
    this.#nodes = nodes;
    this.#until = performance.now() + KEEP;
  }

  /** Notes the revision of any answer of the store. */
  saw(revision: bigint): void {
    if (revision > this.#revision) this.#revision = revision;
  }

  /**
   * Keeps the known nodes where the store is another cluster than before, or its revision has gone back.
   * @param known called only then: it may be thousands of nodes
   */
  compare({ cluster, revision }: Pick<Listing, 'cluster' | 'revision'>, known: () => readonly NodeRecord[]): void {
    const before = { cluster: this.#cluster, revision: this.#revision };
    this.#cluster = cluster;
    this.#revision = BigInt(revision);
    if (before.cluster === undefined) return;
    if (before.cluster !== cluster || this.#revision < before.revision) this.keep(known());
  }

  /** Whether there may be forgotten nodes. */
  get isAny(): boolean {
    return this.#nodes.length > 0 && performance.now() <= this.#until;
  }

  /** The nodes that the store has, and the forgotten ones whose name and prefix are still free. */
  with(records: readonly NodeRecord[]): NodeRecord[] {
    if (performance.now() > this.#until) return [...records];
    const names = new Set(records.map(({ name }) => name));
    const kept = this.#nodes.filter(
      ({ name, subnet }) => !names.has(name) && !records.some((record) => record.subnet.overlaps(subnet)),
    );
    return [...records, ...kept].sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
  }
}
