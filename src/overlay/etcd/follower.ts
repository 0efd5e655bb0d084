/**
 * A node's part in one overlay with the store `etcd`: it joins, follows the other nodes, and writes down what it knows
 * for those that act upon it (memory.ts). While it cannot reach etcd it goes on with what is written down.
 */
import { hasCode, messageOf, NetloomError } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { Paths } from '../../paths.ts';
import { nodeName, underlayAddress } from '../membership.ts';
import { amend, keepMemory, machineId, remember, remembered } from '../memory.ts';
import type { NodeRecord } from '../record.ts';
import { type Standing, standingOf, writeStanding } from '../standing.ts';
import { Blocks } from './blocks.ts';
import { EtcdClient } from './client.ts';
import { Forgotten } from './forgotten.ts';
import { Notices } from './notices.ts';
import { pause } from './pause.ts';
import { Presence } from './presence.ts';
import { EtcdRegistry, type Joined, type Listing } from './registry.ts';
import type { EtcdMembership } from './settings.ts';
import { int64, keyEvent, part, parts, startingWith } from './wire.ts';

/** The pause before the second try, and the longest before any, in ms. Each is shortened at random. */
const BACKOFF = { first: 200, longest: 5_000 };
/** How long a watch may take to report what a request has found, in ms. */
const LAG = 2_000;
/**
 * How often to look whether this machine's address has changed, in ms: until etcd has the new one nobody reaches this
 * node.
 */
const HERE = 1_000;
/** How often a node says that it is alive, in ms. */
const ALIVE = 20_000;
/** The longest time from a change until it is synced to disk, in ms. */
const KEEP = 1_000;
/** How many changes are appended one by one before all nodes are written down anew. */
const CHANGES_MAX = 1_000;

/** Intervals of what is done without a notification, in ms. Each is shortened at random. */
export interface Intervals {
  /** It asks whether the watch has reported everything. */
  readonly check: number;
  /**
   * It reads everything again: old servers can lose a DELETE when they compact (etcd 18089), which no request reveals.
   */
  readonly relist: number;
}

const INTERVALS: Intervals = { check: 5_000, relist: 600_000 };

export class EtcdFollower {
  readonly #of: EtcdMembership;
  readonly #paths: Paths;
  readonly #notices: Notices;
  readonly #client: EtcdClient;
  readonly #registry: EtcdRegistry;
  readonly #presence: Presence;
  readonly #forgotten = new Forgotten();
  readonly #every: Intervals;
  readonly #wroteAll: () => void;
  /** How many changes were appended since all nodes were written down. */
  #changes = 0;

  /** @param wroteAll called when all nodes were read or written down: thousands of them leave much garbage */
  constructor(
    of: EtcdMembership,
    paths: Paths,
    say: (message: string) => void,
    every: Partial<Intervals> = {},
    wroteAll: () => void = () => {},
  ) {
    this.#wroteAll = wroteAll;
    this.#every = { ...INTERVALS, ...every };
    this.#of = of;
    this.#paths = paths;
    this.#notices = new Notices(say);
    this.#client = new EtcdClient(of.etcd);
    this.#registry = new EtcdRegistry(this.#client, of);
    this.#presence = new Presence(this.#client, `${this.#registry.base}alive/${nodeName(of)}`);
  }

  /** Runs until the signal aborts. */
  async run(nl: NetlinkSocket, signal: AbortSignal): Promise<void> {
    using _client = this.#client;
    let failures = 0;
    while (!signal.aborted) {
      const round = new AbortController();
      const both = AbortSignal.any([signal, round.signal]);
      let joinedAt = Number.POSITIVE_INFINITY;
      try {
        await this.#follow(nl, both, () => {
          joinedAt = performance.now();
        });
      } catch (error) {
        if (signal.aborted) break;
        this.#tell(error);
        // NB: joining alone is no success. Where its watch is refused, a node joins and reads everything each time.
        if (performance.now() - joinedAt > BACKOFF.longest) failures = 0;
        const longest = Math.min(BACKOFF.longest, BACKOFF.first * 2 ** failures++);
        await pause(Math.random() * longest, signal).catch(() => {});
      } finally {
        round.abort();
      }
    }
  }

  /** Joins, reads everything, and follows until it has to start anew. */
  async #follow(nl: NetlinkSocket, signal: AbortSignal, joined: () => void): Promise<void> {
    const { record: own, listing } = await this.#join(nl, signal);
    this.#forgotten.compare(listing, () => this.#known());
    this.#writeDown(listing);
    this.#notices.forget('round');
    this.#stand({ message: `it joined as "${own.name}" with ${own.subnet}` });
    joined();
    const { endpoint } = this.#client;
    const seen = { revision: BigInt(listing.revision) };
    const blocks = new Blocks(this.#of, this.#paths, this.#registry);
    const tasks = [
      this.#watch(nl, own, listing, seen, signal),
      this.#check(endpoint, seen, signal),
      this.#stay(nl, own, signal),
      this.#stayAlive(own.name, listing, signal),
      ...(this.#of.hasBlocks ? [blocks.grant(own.name, listing, () => this.#writeDown(listing), signal)] : []),
    ];
    for (const task of tasks) task.catch(() => {}); // those that end because the first one did
    try {
      await Promise.race(tasks);
    } catch (error) {
      // NB: the endpoint that was followed. A request may have moved on to another by now.
      if (hasCode(error, 'unreachable')) this.#client.leave(endpoint);
      throw error;
    }
  }

  async #join(nl: NetlinkSocket, signal: AbortSignal): Promise<Joined> {
    const [name, machine] = [nodeName(this.#of), machineId(this.#paths)];
    const before = this.#known().find((each) => each.name === name && each.machine === machine);
    const address = underlayAddress(nl, this.#of);
    const joined = await this.#registry.join({ name, address, machine, former: before?.subnet }, signal);
    if (joined.isNew && before !== undefined) this.#forgotten.keep(this.#known());
    return joined;
  }

  /** Ends where this node's own record is another, or etcd no longer has the revisions that the watch needs. */
  async #watch(
    nl: NetlinkSocket,
    own: NodeRecord,
    listing: Listing,
    seen: { revision: bigint },
    signal: AbortSignal,
  ): Promise<void> {
    const { nodes } = listing;
    const end = new AbortController();
    let keeping: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    let cause: unknown;
    const request = { ...startingWith(this.#registry.base), start_revision: `${seen.revision + 1n}` };
    try {
      await this.#client.watch(request, AbortSignal.any([signal, end.signal]), (result) => {
        if (result['canceled'] === true) {
          isOver = result['compact_revision'] !== undefined;
          if (!isOver) cause = new NetloomError('unreachable', `etcd ended the watch: ${result['cancel_reason']}`);
          end.abort();
          return;
        }
        const changed = new Set(parts(result['events']).flatMap((event) => nodes.apply(keyEvent(event))));
        const revision = BigInt(int64(part(result['header'])['revision']));
        // NB: a watch that was just created gives etcd's revision, and has yet to report what happened up to it.
        if (result['created'] !== true && revision > seen.revision) seen.revision = revision;
        this.#forgotten.saw(revision);
        if (changed.size === 0) return;
        const now = nodes.find(own.name);
        if (now === undefined || now.machine !== own.machine || !now.subnet.equals(own.subnet)) {
          isOver = true;
          end.abort();
          return;
        }
        if (changed.has(own.name)) this.#lookForTwin(nl, own, now);
        this.#amend(listing, changed);
        keeping ??= setTimeout(() => {
          keeping = undefined;
          keepMemory(this.#paths, this.#of.network);
        }, KEEP);
      });
    } catch (error) {
      if (!isOver) throw cause ?? error;
    } finally {
      clearTimeout(keeping);
    }
    if (!isOver) throw cause ?? new NetloomError('unreachable', `etcd at ${this.#client.endpoint} ended the watch`);
  }

  /** Ends where everything has to be read again. @throws NetloomError unreachable where the watch misses a change */
  async #check(endpoint: string, seen: { revision: bigint }, signal: AbortSignal): Promise<void> {
    const limit = performance.now() + this.#every.relist * (1 - Math.random() / 2);
    let clear = seen.revision;
    while (performance.now() < limit) {
      await pause(this.#every.check * (1 - Math.random() / 5), signal);
      if (seen.revision > clear) clear = seen.revision;
      const latest = await this.#latest(clear, signal);
      if (this.#client.endpoint !== endpoint) {
        throw new NetloomError('unreachable', `etcd at ${endpoint} does not answer any more`);
      }
      const until = performance.now() + LAG;
      while (latest.ours > seen.revision && performance.now() < until) await pause(50, signal);
      if (latest.ours > seen.revision) {
        throw new NetloomError('unreachable', `The watch of etcd at ${endpoint} tells nothing`);
      }
      clear = latest.all;
    }
  }

  /** Ends where this machine has another address. */
  async #stay(nl: NetlinkSocket, own: NodeRecord, signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(HERE, signal);
      const address = addressNow(nl, this.#of);
      if (address !== undefined && !address.equals(own.address)) return;
    }
  }

  /** The revision of etcd, and that of the latest change of our keys above the known one; 0 where there is none. */
  async #latest(known: bigint, signal: AbortSignal): Promise<{ readonly all: bigint; readonly ours: bigint }> {
    const range = startingWith(this.#registry.base);
    const count = await this.#client.ask('/v3/kv/range', { ...range, count_only: true }, signal);
    const all = BigInt(int64(part(count['header'])['revision']));
    this.#forgotten.saw(all);
    if (all <= known) return { all, ours: 0n };
    const query = { ...range, min_mod_revision: `${known + 1n}`, keys_only: true };
    const found = await this.#client.ask('/v3/kv/range', query, signal);
    let ours = 0n;
    for (const kv of parts(found['kvs'])) {
      const revision = BigInt(int64(kv['mod_revision']));
      if (revision > ours && revision <= all) ours = revision;
    }
    return { all, ours };
  }

  /** NB: status only. A failure is reported to people, and has no other effect. */
  async #stayAlive(name: string, { nodes }: Listing, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#presence.tell(nodes.leaseOf(name), signal);
        this.#notices.forget('alive');
      } catch (error) {
        if (signal.aborted) throw error;
        this.#notices.say('alive', `Cannot say in etcd that this node is there: ${messageOf(error)}`, 'failed');
      }
      await pause(ALIVE * (1 - Math.random() / 5), signal);
    }
  }

  /**
   * A copied disk also has the machine's id, by which a node is recognized. Then two machines have one prefix, and only
   * they can notice.
   */
  #lookForTwin(nl: NetlinkSocket, own: NodeRecord, { address }: NodeRecord): void {
    if (address.equals(own.address) || addressNow(nl, this.#of)?.equals(address) === true) return;
    const message = `another machine is the node "${own.name}", too, at ${address}, and has this one's id: remove ${this.#paths.state}/machine on one of them, and give it another "node"`;
    this.#notices.say('twin', message);
    this.#stand({ message });
  }

  /** NB: at once. Those that act upon the changes wait for nothing else. */
  #amend(listing: Listing, changed: ReadonlySet<string>): void {
    const { network } = this.#of;
    const changes = [...changed].flatMap((name) => listing.nodes.changeOf(name) ?? []);
    this.#changes += changes.length;
    const isPlain = changes.length === changed.size && this.#changes <= CHANGES_MAX && !this.#forgotten.isAny;
    if (!isPlain || !amend(this.#paths, network, changes)) this.#writeDown(listing);
  }

  #writeDown({ nodes }: Listing): void {
    const records = nodes.records((message, { key, value }) => this.#notices.say(key, message, value));
    const isThere = remember(this.#paths, this.#of.network, this.#forgotten.with(records));
    // NB: nothing may be appended to a file that could not be written.
    this.#changes = isThere ? 0 : Number.POSITIVE_INFINITY;
    this.#wroteAll();
  }

  #known(): NodeRecord[] {
    return remembered(this.#paths, this.#of.network);
  }

  #tell(error: unknown): void {
    this.#notices.say('round', messageOf(error));
    this.#stand(standingOf(error));
  }

  /** NB: status only. A full /run, or too many open files, must not end the follower. */
  #stand(standing: Standing): void {
    try {
      writeStanding(this.#paths, this.#of, standing);
      this.#notices.forget('standing');
    } catch (error) {
      this.#notices.say('standing', messageOf(error));
    }
  }
}

/** This machine's address; undefined while it has none. */
function addressNow(nl: NetlinkSocket, of: EtcdMembership) {
  try {
    return underlayAddress(nl, of);
  } catch {
    return undefined;
  }
}
