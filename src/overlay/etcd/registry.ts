/**
 * The nodes of one overlay in etcd:
 *
 *   PREFIX/NETWORK/nodes/NAME              { "name", "address", "subnet", "machine" }
 *   PREFIX/NETWORK/prefixes/10.96.3.0_24   NAME: who has the prefix
 *   PREFIX/NETWORK/settings                { "nodePrefix": 24 }: prefixes of several lengths could overlap
 *   PREFIX/NETWORK/alive/NAME              a lease: status only
 *
 * A node and its prefix are created in one transaction, which requires that neither exists. They have no lease: only
 * reclaim() removes them.
 */
import { NetloomError } from '../../error.ts';
import type { Cidr } from '../../net/cidr.ts';
import { allTaken, candidates } from '../prefixes.ts';
import { type Applicant, type NodeRecord, nameTaken, neverSeen, noSuchNode, stillSeen } from '../record.ts';
import type { EtcdClient } from './client.ts';
import { keyOfPrefix, Nodes } from './nodes.ts';
import { REMEMBERED, silenceOf } from './presence.ts';
import type { EtcdMembership } from './settings.ts';
import { encode, int64, isAt, keyValue, type Part, part, parts, put, remove, startingWith } from './wire.ts';

/** How often to try to create a node, where others are faster. */
const ATTEMPTS = 50;

/** How many keys are asked for at a time. With 1,000 the thread that reads them is a megabyte larger. */
const PAGE = 250;

/** How many leases are asked for at once: each takes a connection, and thousands would be refused. */
const AT_ONCE = 16;

/** How often to try to reclaim a node that changes meanwhile. */
const RECLAIM_ATTEMPTS = 5;

/** All keys of the overlay, as of one revision. */
export interface Listing {
  readonly nodes: Nodes;
  readonly revision: string;
  /** The id of the etcd cluster. */
  readonly cluster: string;
}

export interface Joined {
  readonly record: NodeRecord;
  /** Whether the store did not know the node. */
  readonly isNew: boolean;
  /**
   * What was read, and what was then written for the node. NB: the revision is that of the reading. The watch has yet
   * to report what others have done since.
   */
  readonly listing: Listing;
}

export class EtcdRegistry {
  readonly #client: EtcdClient;
  readonly #of: EtcdMembership;
  /** What the keys of nodes and prefixes begin with. */
  readonly base: string;

  constructor(client: EtcdClient, of: EtcdMembership) {
    this.#client = client;
    this.#of = of;
    this.base = `${of.etcd.prefix}/${of.network}/`;
  }

  /**
   * Reads all keys page by page, as of one revision: with thousands of nodes, one answer would take tens of megabytes
   * while it is read.
   */
  async list(signal?: AbortSignal): Promise<Listing> {
    const nodes = new Nodes(this.base);
    const { range_end, ...first } = startingWith(this.base);
    let from: { readonly key: string; readonly revision?: string } = first;
    for (;;) {
      const answer = await this.#client.ask('/v3/kv/range', { ...from, range_end, limit: PAGE }, signal);
      const header = part(answer['header']);
      const revision = from.revision ?? int64(header['revision']);
      const kvs = parts(answer['kvs']).map(keyValue);
      for (const kv of kvs) nodes.put(kv);
      const last = kvs.at(-1);
      if (answer['more'] !== true || last === undefined)
        return { nodes, revision, cluster: int64(header['cluster_id']) };
      from = { key: encode(`${last.key}\0`), revision };
    }
  }

  /**
   * Gives a node its record: the one it has, with its present address, or a new one with a free prefix.
   * @throws NetloomError name-taken, address-exhausted, invalid-config; unreachable, etcd-refused
   */
  async join(applicant: Applicant, signal?: AbortSignal): Promise<Joined> {
    let listing = await this.list(signal);
    for (let i = 0; i < ATTEMPTS; i++) {
      const { nodes } = listing;
      const record = this.#wanted(nodes, applicant, i);
      const existing = nodes.find(applicant.name);
      const isThere = existing !== undefined && isSame(existing, record);
      if (isThere && nodes.holderOf(record.subnet) === record.name) return { record: existing, isNew: false, listing };
      const entries = this.#entriesOf(nodes, record);
      const answer = await this.#write(nodes, record, entries, signal);
      if (answer['succeeded'] === true) {
        const revision = Number(int64(part(answer['header'])['revision']));
        for (const [key, value] of entries) {
          if (value === undefined) nodes.delete(key);
          else nodes.put({ key, value, revision, lease: '0' });
        }
        return { record, isNew: existing === undefined, listing };
      }
      listing = this.#read(answer);
    }
    throw tooSlow();
  }

  /**
   * Gives a node one more prefix.
   * @param wanted a certain prefix; undefined for any free one
   * @returns the prefix; undefined where somebody has it, or it is not one of the network
   * @throws NetloomError address-exhausted; unreachable, etcd-refused
   */
  async claim(name: string, wanted: Cidr | undefined, signal?: AbortSignal): Promise<Cidr | undefined> {
    let { nodes } = await this.list(signal);
    for (let i = 0; i < ATTEMPTS; i++) {
      const prefix = wanted ?? this.#free(nodes, name, i);
      if (nodes.holderOf(prefix) !== undefined || !this.#isOfNetwork(prefix)) return undefined;
      const [node, key] = [this.#nodeKey(name), this.#prefixKey(prefix)];
      const compare = [node, key].map((each) => isAt(each, nodes.revisionOf(each)));
      const answer = await this.#transact(compare, [put(key, name)], signal);
      if (answer['succeeded'] === true) return prefix;
      nodes = this.#read(answer).nodes;
      // The request was sent twice. The first one succeeded, and its answer was lost.
      if (nodes.holderOf(prefix) === name) return prefix;
    }
    throw tooSlow();
  }

  /**
   * Removes a node that is gone, which frees its prefixes.
   * @param grace how long the node must not have been heard of, in seconds
   * @throws NetloomError no-such-node, still-seen, try-again; unreachable, etcd-refused
   */
  async reclaim(name: string, grace: number): Promise<NodeRecord> {
    let record: NodeRecord | undefined;
    for (let attempt = 0; attempt < RECLAIM_ATTEMPTS; attempt++) {
      const { nodes } = await this.list();
      const found = nodes.find(name);
      // If the node has gone in between, all is done: perhaps only the answer was lost.
      if (found === undefined && record !== undefined) return record;
      if (found === undefined) throw noSuchNode(name, `etcd has none below "${this.base}"`);
      record = found;
      if (await this.#tryReclaim(nodes, record, grace)) return record;
    }
    throw new NetloomError('try-again', `Cannot reclaim the prefix of "${name}": its record changes all the time`);
  }

  /**
   * @returns false where a key has changed in between, e.g. by the last sign of life of a node that is leaving:
   * everything has to be judged anew
   */
  async #tryReclaim(nodes: Nodes, record: NodeRecord, grace: number): Promise<boolean> {
    const { name } = record;
    const lease = nodes.leaseOf(name);
    if (lease === undefined && grace > 0) throw neverSeen(record, grace);
    const silence = lease === undefined ? undefined : await silenceOf(this.#client, lease);
    if (silence !== undefined && silence < grace) throw stillSeen(record, silence, grace);
    if (silence === undefined && grace > REMEMBERED) throw new NetloomError('invalid-value', tooLong(grace));
    const keys = [this.#nodeKey(name), `${this.base}alive/${name}`];
    for (const prefix of nodes.prefixesOf(name)) keys.push(this.#prefixKey(prefix));
    const compare = keys.map((key) => isAt(key, nodes.revisionOf(key)));
    const answer = await this.#transact(compare, keys.map(remove));
    return answer['succeeded'] === true;
  }

  /** How long ago each node was last heard of, in seconds, where etcd remembers. */
  async silences(): Promise<Map<string, number>> {
    const { nodes } = await this.list();
    const silences = new Map<string, number>();
    const left = nodes.records(() => {}).values();
    const ask = async () => {
      for (const { name } of left) {
        const lease = nodes.leaseOf(name);
        const silence = lease === undefined ? undefined : await silenceOf(this.#client, lease);
        if (silence !== undefined) silences.set(name, silence);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
    return silences;
  }

  /** The record that the node should have. It keeps its prefix where that is one of the network as configured now. */
  #wanted(nodes: Nodes, { name, address, machine, former }: Applicant, attempt: number): NodeRecord {
    const { nodePrefix } = this.#of;
    const existing = nodes.find(name);
    if (existing !== undefined && existing.machine !== machine && !existing.address.equals(address)) {
      throw nameTaken(existing);
    }
    if (nodes.nodePrefix !== undefined && nodes.nodePrefix !== nodePrefix && nodes.isAnyBut(name)) {
      throw new NetloomError(
        'invalid-config',
        `Cannot join the overlay: "nodePrefix" is ${nodePrefix}, expected ${nodes.nodePrefix}, as the nodes in etcd have it`,
      );
    }
    const had = existing?.subnet ?? former;
    const holder = existing === undefined ? undefined : nodes.holderOf(existing.subnet);
    const isFree = holder === undefined || holder === name;
    const prefix =
      existing !== undefined && isFree && this.#isOfNetwork(existing.subnet)
        ? existing.subnet
        : this.#free(nodes, name, attempt, had);
    return { name, address, subnet: prefix, machine };
  }

  /** A free prefix. One that was too late looks elsewhere: nodes that collided once would collide again. */
  #free(nodes: Nodes, name: string, attempt: number, former?: Cidr): Cidr {
    const { subnet, nodePrefix } = this.#of;
    const place = attempt === 0 ? name : `${name} ${attempt}`;
    for (const candidate of candidates(subnet, nodePrefix, { name: place, former })) {
      if (nodes.holderOf(candidate) === undefined) return candidate;
    }
    throw allTaken(subnet, nodePrefix);
  }

  /** What to store for a node, by key; undefined for a key to delete. */
  #entriesOf(nodes: Nodes, { name, address, subnet, machine }: NodeRecord): [key: string, value: string | undefined][] {
    const { nodePrefix } = this.#of;
    const given = nodes.prefixesOf(name).filter((each) => !this.#isOfNetwork(each));
    return [
      [this.#nodeKey(name), JSON.stringify({ name, address, subnet, machine })],
      [this.#prefixKey(subnet), name],
      ...(nodes.nodePrefix === nodePrefix
        ? []
        : [[`${this.base}settings`, JSON.stringify({ nodePrefix })] as [string, string]]),
      ...given.map((each): [string, undefined] => [this.#prefixKey(each), undefined]),
    ];
  }

  /** One transaction: it writes everything, or nothing where somebody was faster. */
  #write(
    nodes: Nodes,
    { name, subnet }: NodeRecord,
    entries: readonly (readonly [key: string, value: string | undefined])[],
    signal?: AbortSignal,
  ): Promise<Part> {
    const keys = [this.#nodeKey(name), this.#prefixKey(subnet), `${this.base}settings`];
    return this.#transact(
      keys.map((key) => isAt(key, nodes.revisionOf(key))),
      entries.map(([key, value]) => (value === undefined ? remove(key) : put(key, value))),
      signal,
    );
  }

  #isOfNetwork(prefix: Cidr): boolean {
    return prefix.prefix === this.#of.nodePrefix && this.#of.subnet.contains(prefix.ip);
  }

  /** @returns the answer; where a key has changed, with all current keys */
  #transact(compare: readonly Part[], success: readonly Part[], signal?: AbortSignal): Promise<Part> {
    return this.#client.ask('/v3/kv/txn', { compare, success, failure: [this.#range()] }, signal);
  }

  #range(): Part {
    return { request_range: startingWith(this.base) };
  }

  #read(answer: Part): Listing {
    const header = part(answer['header']);
    const nodes = new Nodes(this.base);
    const [range] = parts(answer['responses']);
    for (const kv of parts(part(range?.['response_range'])['kvs'])) nodes.put(keyValue(kv));
    return { nodes, revision: int64(header['revision']), cluster: int64(header['cluster_id']) };
  }

  #nodeKey(name: string): string {
    return `${this.base}nodes/${name}`;
  }

  #prefixKey(prefix: Cidr): string {
    return keyOfPrefix(this.base, prefix);
  }
}

function tooSlow(): NetloomError {
  return new NetloomError('unreachable', `Cannot take a prefix of the overlay: others were faster ${ATTEMPTS} times`);
}

function tooLong(grace: number): string {
  return `"--grace" is ${grace}, expected at most ${REMEMBERED}: etcd remembers no longer when a node was heard of`;
}

function isSame(one: NodeRecord, other: NodeRecord): boolean {
  return one.machine === other.machine && one.address.equals(other.address) && one.subnet.equals(other.subnet);
}
