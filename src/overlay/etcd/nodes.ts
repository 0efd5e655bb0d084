/** What etcd holds of an overlay, kept in step with it key by key. */
import { Cidr } from '../../net/cidr.ts';
import { type Change, type NodeRecord, recordOf } from '../record.ts';
import type { KeyEvent, KeyValue } from './wire.ts';

/** NB: kept as text, and parsed whenever it is asked for: as objects thousands of nodes are twice as large. */
type Stored = Pick<KeyValue, 'value' | 'revision'>;

/** By their keys. */
type Folder = Map<string, Stored>;

/** Who has a prefix. */
interface Holding {
  readonly prefix: Cidr;
  readonly node: string;
}

export class Nodes {
  readonly #base: string;
  readonly #nodes: Folder = new Map();
  /** Who has which prefix, by prefix length. As a rule there is one length (`settings`). */
  readonly #prefixes = new Map<number, Folder>();
  /** All other keys. */
  readonly #others: Folder = new Map();

  /** @param base what all keys begin with */
  constructor(base: string) {
    this.#base = base;
  }

  put({ key, value, revision }: KeyValue): void {
    this.#folderOf(key).set(key, { value, revision });
  }

  delete(key: string): void {
    this.#folderOf(key).delete(key);
  }

  /**
   * @returns the nodes that have changed for others: not for a sign of life, which is status only, nor for an event
   * that is known already
   */
  apply(event: KeyEvent): string[] {
    const key = 'put' in event ? event.put.key : event.deleted;
    if ('put' in event && event.put.revision === this.revisionOf(key)) return [];
    const [folder, name = ''] = this.#split(key);
    const before = this.#holderBy(key);
    if ('put' in event) this.put(event.put);
    else this.delete(key);
    if (folder === 'nodes') return [name];
    return [before, this.#holderBy(key)].filter((each) => each !== undefined);
  }

  find(name: string): NodeRecord | undefined {
    const stored = this.#nodes.get(this.#nodeKey(name));
    return stored && readRecord(stored.value);
  }

  /** Whether there is a node with another name. */
  isAnyBut(name: string): boolean {
    for (const { value } of this.#nodes.values()) {
      const record = readRecord(value);
      if (record !== undefined && record.name !== name) return true;
    }
    return false;
  }

  /**
   * Who has a prefix, or overlaps with it. NB: prefixes of the same length are looked up. Where nodes are numbered
   * without gaps, thousands are asked for.
   */
  holderOf(prefix: Cidr): string | undefined {
    const same = this.#prefixes.get(prefix.prefix)?.get(keyOfPrefix(this.#base, prefix));
    if (same !== undefined) return same.value;
    for (const [length, folder] of this.#prefixes) {
      if (length === prefix.prefix) continue;
      for (const holding of this.#holdingsIn(folder)) if (holding.prefix.overlaps(prefix)) return holding.node;
    }
    return undefined;
  }

  /** How many prefixes somebody has. */
  get taken(): number {
    return [...this.#prefixes.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** All prefixes of a node. */
  prefixesOf(name: string): Cidr[] {
    const prefixes: Cidr[] = [];
    for (const folder of this.#prefixes.values()) {
      for (const { prefix } of this.#holdingsIn(folder, name)) prefixes.push(prefix);
    }
    return prefixes;
  }

  /** The length that all prefixes have. */
  get nodePrefix(): number | undefined {
    const text = this.#others.get(`${this.#base}settings`)?.value;
    const length = text === undefined ? undefined : (readJson(text) as { nodePrefix?: unknown } | undefined);
    return typeof length?.nodePrefix === 'number' ? length.nodePrefix : undefined;
  }

  /** The revision of a key's last change; 0 where there is no such key. */
  revisionOf(key: string): number {
    return this.#folderOf(key).get(key)?.revision ?? 0;
  }

  /** The lease by which a node says that it is there; undefined where it never has. */
  leaseOf(name: string): string | undefined {
    const lease = this.#others.get(`${this.#base}alive/${name}`)?.value;
    return lease !== undefined && /^\d+$/.test(lease) ? lease : undefined;
  }

  /** The change of one node; undefined where its record cannot be read. */
  changeOf(name: string): Change | undefined {
    if (!this.#nodes.has(this.#nodeKey(name))) return { gone: name };
    const record = this.find(name);
    return record?.name === name ? { put: withBlocks(record, this.prefixesOf(name)) } : undefined;
  }

  /**
   * All nodes with all their prefixes, in the order of the prefixes in their records. Warns of records that cannot be
   * read, and leaves them out.
   * @param warn also gets the key and the value that the message is about
   */
  records(warn: (message: string, about: Pick<KeyValue, 'key' | 'value'>) => void): NodeRecord[] {
    const records = new Map<string, NodeRecord>();
    for (const [key, { value }] of this.#nodes) {
      const record = readRecord(value);
      if (record !== undefined && key === this.#nodeKey(record.name)) records.set(record.name, record);
      else warn(`The node in etcd's "${key}" is passed over: expected "name", "address" and "subnet"`, { key, value });
    }
    for (const [name, blocks] of this.#blocks(records)) {
      const record = records.get(name);
      if (record !== undefined) records.set(name, withBlocks(record, blocks));
    }
    return [...records.values()].sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
  }

  /**
   * The prefixes of nodes besides those in their records, by node. NB: of thousands of prefixes nearly all are in a
   * record, and only the others are parsed.
   */
  #blocks(records: ReadonlyMap<string, NodeRecord>): Map<string, Cidr[]> {
    const blocks = new Map<string, Cidr[]>();
    for (const folder of this.#prefixes.values()) {
      for (const [key, { value: node }] of folder) {
        const own = records.get(node)?.subnet;
        if (own === undefined || key === keyOfPrefix(this.#base, own)) continue;
        const prefix = this.#prefixOf(key);
        if (prefix !== undefined) blocks.set(node, [...(blocks.get(node) ?? []), prefix]);
      }
    }
    return blocks;
  }

  /** What a folder of prefixes says. @param of only of this node */
  *#holdingsIn(folder: Folder, of?: string): Generator<Holding> {
    for (const [key, { value: node }] of folder) {
      const prefix = of === undefined || of === node ? this.#prefixOf(key) : undefined;
      if (prefix !== undefined) yield { prefix, node };
    }
  }

  #holderBy(key: string): string | undefined {
    const length = this.#prefixOf(key)?.prefix;
    return length === undefined ? undefined : this.#prefixes.get(length)?.get(key)?.value;
  }

  #folderOf(key: string): Folder {
    if (this.#split(key)[0] === 'nodes') return this.#nodes;
    const length = this.#prefixOf(key)?.prefix;
    if (length === undefined) return this.#others;
    const folder = this.#prefixes.get(length) ?? new Map();
    this.#prefixes.set(length, folder);
    return folder;
  }

  /** The prefix in a key. NB: one that is written otherwise than by keyOfPrefix() would not be found. */
  #prefixOf(key: string): Cidr | undefined {
    const [folder, name = ''] = this.#split(key);
    const prefix = folder === 'prefixes' ? Cidr.tryParse(name.replace('_', '/'))?.network() : undefined;
    return prefix !== undefined && keyOfPrefix(this.#base, prefix) === key ? prefix : undefined;
  }

  #nodeKey(name: string): string {
    return `${this.#base}nodes/${name}`;
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

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
