/**
 * Gives a node its blocks in the mode `l2`: those that ADDs wish for, and one more before all are full, so that an ADD
 * need not wait.
 */
import { hasCode } from '../../error.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Paths } from '../../paths.ts';
import { settle, type Wish, wishes } from '../wishes.ts';
import { LeaseCount } from './lease-count.ts';
import { pause } from './pause.ts';
import type { EtcdRegistry, Listing } from './registry.ts';
import type { EtcdMembership } from './settings.ts';

/** How often the wishes of ADDs are read, in ms. */
const LOOK = 100;
/** How long the watch may take to report a block, in ms. After that its ADD goes on without. */
const LAG = 2_000;
/** How often to look whether the watch has reported a block, in ms. */
const TOLD = 5;
/**
 * How long to wait before asking for a spare block again where none is left, in ms: to ask is to read everything that
 * etcd has.
 */
const NONE_LEFT = 30_000;

export class Blocks {
  readonly #of: EtcdMembership;
  readonly #paths: Paths;
  readonly #registry: Pick<EtcdRegistry, 'claim'>;
  readonly #leases: LeaseCount;
  /**
   * A block that etcd has granted. NB: no other is taken until the watch has reported this one, which may well be
   * enough.
   */
  #awaited: Cidr | undefined;
  /** Where no block is left: how many prefixes were taken at the last look, and when to ask again. */
  #noneLeft: { taken: number; readonly until: number } | undefined;

  constructor(of: EtcdMembership, paths: Paths, registry: Pick<EtcdRegistry, 'claim'>) {
    this.#of = of;
    this.#paths = paths;
    this.#registry = registry;
    this.#leases = new LeaseCount(of, paths);
  }

  /**
   * Grants blocks until the signal aborts.
   * @param listing kept in step by a watch
   * @param writeDown writes the nodes down, which the ADD waits for
   */
  async grant(name: string, listing: Pick<Listing, 'nodes'>, writeDown: () => void, signal: AbortSignal) {
    const { network } = this.#of;
    for (;;) {
      const wanted = wishes(this.#paths, network);
      const isOneDue = wanted.length === 0 && this.#isDue(name, listing);
      for (const wish of isOneDue ? (['any'] as const) : wanted) {
        const block = await this.#claim(name, wish, listing, signal);
        if (block !== undefined) {
          await this.#isTold(block, listing, signal);
          writeDown();
        }
        settle(this.#paths, network, wish);
      }
      await pause(LOOK, signal);
    }
  }

  /** Whether to take a spare block. */
  #isDue(name: string, { nodes }: Pick<Listing, 'nodes'>): boolean {
    if (this.#awaited !== undefined && nodes.holderOf(this.#awaited) === undefined) return false;
    if (!this.#leases.isScarce(nodes.prefixesOf(name))) return false;
    const none = this.#noneLeft;
    if (none === undefined || performance.now() > none.until || nodes.taken < none.taken) return true;
    none.taken = nodes.taken;
    return false;
  }

  /** @returns the block that the ADD waits for; undefined where none is left, which the ADD then says */
  async #claim(name: string, wish: Wish, { nodes }: Pick<Listing, 'nodes'>, signal: AbortSignal) {
    if (wish !== 'any') return (await this.#registry.claim(name, wish, signal)) ?? wish;
    if (this.#awaited !== undefined && nodes.holderOf(this.#awaited) === undefined) return this.#awaited;
    try {
      this.#awaited = await this.#registry.claim(name, undefined, signal);
      this.#noneLeft = undefined;
      return this.#awaited;
    } catch (error) {
      if (!hasCode(error, 'address-exhausted')) throw error;
      this.#noneLeft = { taken: nodes.taken, until: performance.now() + NONE_LEFT };
      return undefined;
    }
  }

  async #isTold(block: Cidr, { nodes }: Pick<Listing, 'nodes'>, signal: AbortSignal): Promise<void> {
    const limit = performance.now() + LAG;
    while (nodes.holderOf(block) === undefined && performance.now() < limit) await pause(TOLD, signal);
  }
}
