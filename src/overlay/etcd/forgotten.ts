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
  #last: Pick<Listing, 'cluster' | 'revision'> | undefined;

  /** Keeps nodes that the store may not know. */
  keep(nodes: readonly NodeRecord[]): void {
    this.#nodes = nodes;
    this.#until = performance.now() + KEEP;
  }

  /** Looks whether the store is another than it was, or has gone back. */
  compare({ cluster, revision }: Listing, known: readonly NodeRecord[]): void {
    const last = this.#last;
    this.#last = { cluster, revision };
    if (last === undefined) return;
    if (last.cluster !== cluster || BigInt(revision) < BigInt(last.revision)) this.keep(known);
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
