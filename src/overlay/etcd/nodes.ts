/** What etcd holds of an overlay, kept in step with it key by key. */
import { Cidr } from '../../net/cidr.ts';
import { type Change, type NodeRecord, recordOf } from '../record.ts';
import type { KeyEvent, KeyValue } from './wire.ts';

/** Who has a prefix. */
interface Holding {
  readonly prefix: Cidr;
  readonly node: string;
}

export class Nodes {
  readonly #base: string;
  /** Of every key the revision of its last change. */
  readonly #revisions = new Map<string, string>();
  /** Of the keys whose values are in none of the maps below. */
  readonly #texts = new Map<string, string>();
  /** By their keys. Undefined for what cannot be read. */
  readonly #records = new Map<string, NodeRecord | undefined>();
  /** By their lengths, which are one as a rule (`settings`), and then by their keys. */
  readonly #holdings = new Map<number, Map<string, Holding>>();

  /** @param base what all keys begin with */
  constructor(base: string) {
    this.#base = base;
  }

  put({ key, value, revision }: KeyValue): void {
    this.delete(key);
    this.#revisions.set(key, revision);
    const [folder, name = ''] = this.#split(key);
    const record = folder === 'nodes' ? readRecord(value) : undefined;
    if (folder === 'nodes') this.#records.set(key, record);
    const holding = folder === 'prefixes' ? this.#shared(readHolding(name, value)) : undefined;
    if (holding !== undefined) this.#ofLength(holding.prefix.prefix).set(key, holding);
    if (record?.name !== name && holding === undefined) this.#texts.set(key, value);
  }

  delete(key: string): void {
    this.#revisions.delete(key);
    this.#texts.delete(key);
    this.#records.delete(key);
    for (const holdings of this.#holdings.values()) holdings.delete(key);
  }

  /** @returns the nodes that others see otherwise than before: when one was last seen is status only */
  apply(event: KeyEvent): string[] {
    const key = 'put' in event ? event.put.key : event.deleted;
    const [folder, name = ''] = this.#split(key);
    const before = folder === 'prefixes' ? this.#holdingAt(key)?.node : undefined;
    if ('put' in event) this.put(event.put);
    else this.delete(key);
    if (folder === 'nodes') return [name];
    const after = folder === 'prefixes' ? this.#holdingAt(key)?.node : undefined;
    return [before, after].filter((each) => each !== undefined);
  }

  find(name: string): NodeRecord | undefined {
    return this.#records.get(`${this.#base}nodes/${name}`);
  }

  isAnyBut(name: string): boolean {
    return [...this.#records.values()].some((record) => record !== undefined && record.name !== name);
  }

  /** Who has a prefix, or a part of it. NB: those of its length are looked up. Where all are in a row, thousands are asked for. */
  holderOf(prefix: Cidr): string | undefined {
    const same = this.#holdings.get(prefix.prefix)?.get(keyOfPrefix(this.#base, prefix));
    if (same !== undefined) return same.node;
    for (const [length, holdings] of this.#holdings) {
      if (length === prefix.prefix) continue;
      for (const holding of holdings.values()) if (holding.prefix.overlaps(prefix)) return holding.node;
    }
    return undefined;
  }

  /** How many prefixes somebody has. */
  get taken(): number {
    return [...this.#holdings.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** All prefixes of a node. */
  prefixesOf(name: string): Cidr[] {
    const prefixes: Cidr[] = [];
    for (const holdings of this.#holdings.values()) {
      for (const { prefix, node } of holdings.values()) if (node === name) prefixes.push(prefix);
    }
    return prefixes;
  }

  /** The length that all prefixes have. */
  get nodePrefix(): number | undefined {
    const text = this.#texts.get(`${this.#base}settings`);
    const length = text === undefined ? undefined : (readJson(text) as { nodePrefix?: unknown } | undefined);
    return typeof length?.nodePrefix === 'number' ? length.nodePrefix : undefined;
  }

  /** Of a key's last change; '0' where there is no such key. */
  revisionOf(key: string): string {
    return this.#revisions.get(key) ?? '0';
  }

  /** The lease by which a node says that it is there; undefined where it never has. */
  leaseOf(name: string): string | undefined {
    const lease = this.#texts.get(`${this.#base}alive/${name}`);
    return lease !== undefined && /^\d+$/.test(lease) ? lease : undefined;
  }

  /** What has become of one node; undefined where what is stored of it cannot be read. */
  changeOf(name: string): Change | undefined {
    const key = `${this.#base}nodes/${name}`;
    const record = this.#records.get(key);
    if (record === undefined) return this.#records.has(key) ? undefined : { gone: name };
    return record.name === name ? { put: withBlocks(record, this.prefixesOf(name)) } : undefined;
  }

  /**
   * All nodes with all their prefixes, in the order of their first ones. What cannot be read is said, and is no node.
   * @param warn with what the message is about
   */
  records(warn: (message: string, about: Pick<KeyValue, 'key' | 'value'>) => void): NodeRecord[] {
    const more = new Map<string, Cidr[]>();
    for (const { node, prefix } of this.#all()) more.set(node, [...(more.get(node) ?? []), prefix]);
    const records = [...this.#records].flatMap(([key, record]) => {
      if (record === undefined || key !== `${this.#base}nodes/${record.name}`) {
        const value = this.#texts.get(key) ?? '';
        warn(`The node in etcd's "${key}" is passed over: expected "name", "address" and "subnet"`, { key, value });
        return [];
      }
      return [withBlocks(record, more.get(record.name) ?? [])];
    });
    return records.sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
  }

  #all(): Holding[] {
    return [...this.#holdings.values()].flatMap((holdings) => [...holdings.values()]);
  }

  /** NB: of thousands of nodes nearly all have the prefix that their records say: it is there once. */
  #shared(holding: Holding | undefined): Holding | undefined {
    const record = holding === undefined ? undefined : this.find(holding.node);
    if (holding === undefined || record === undefined || !record.subnet.equals(holding.prefix)) return holding;
    return { prefix: record.subnet, node: record.name };
  }

  #holdingAt(key: string): Holding | undefined {
    for (const holdings of this.#holdings.values()) {
      const holding = holdings.get(key);
      if (holding !== undefined) return holding;
    }
    return undefined;
  }

  #ofLength(length: number): Map<string, Holding> {
    const holdings = this.#holdings.get(length) ?? new Map<string, Holding>();
    this.#holdings.set(length, holdings);
    return holdings;
  }

  /** The folder of a key and the name in it. */
  #split(key: string): string[] {
    return key.slice(this.#base.length).split('/');
  }
}

/** The key that says who has a prefix. @param base what all keys begin with */
export function keyOfPrefix(base: string, prefix: Cidr): string {
  return `${base}prefixes/${prefix.toString().replace('/', '_')}`;
}

/** @param prefixes all that it has */
function withBlocks(record: NodeRecord, prefixes: readonly Cidr[]): NodeRecord {
  const blocks = prefixes.filter((prefix) => !prefix.equals(record.subnet));
  blocks.sort((one, other) => one.ip.compare(other.ip));
  return blocks.length > 0 ? { ...record, blocks } : record;
}

function readRecord(text: string): NodeRecord | undefined {
  return recordOf(readJson(text));
}

function readHolding(name: string, node: string): Holding | undefined {
  const text = name.replace('_', '/');
  const prefix = Cidr.tryParse(text)?.network();
  // Written otherwise it would not be found by its key.
  return prefix?.toString() === text ? { prefix, node } : undefined;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
