/**
 * The endpoints that netloom has made: which target is on which network, and what was asked for it. Written before the
 * first plugin is called, so that nothing is ever made that nobody knows of.
 */
import * as v from 'valibot';
import { object } from '../cni/schema.ts';
import { tryOpenNetns } from '../netns/namespace.ts';
import type { RuntimeContext } from './context.ts';
import { isSame } from './process.ts';
import { Records } from './records.ts';

const SCHEMA = () =>
  object({
    format: v.literal(1),
    network: v.string(),
    ifname: v.string(),
    target: object({ kind: v.string(), containerId: v.string(), name: v.string() }),
    netns: v.string(),
    /** Device and inode, which tell one that was made anew at the same path. */
    netnsId: v.string(),
    /** By whom the namespace was found. */
    process: v.exactOptional(object({ pid: v.number(), started: v.string() })),
    ips: v.array(v.string()),
    mac: v.exactOptional(v.string()),
    ports: v.array(
      object({
        hostPort: v.number(),
        containerPort: v.number(),
        protocol: v.string(),
        hostIP: v.exactOptional(v.string()),
      }),
    ),
  });

export type EndpointRecord = v.InferOutput<ReturnType<typeof SCHEMA>>;

export class EndpointStore {
  readonly #records: Records<ReturnType<typeof SCHEMA>>;

  constructor({ paths, warn }: RuntimeContext) {
    this.#records = new Records(`${paths.state}/endpoints`, SCHEMA, warn);
  }

  put(record: EndpointRecord): void {
    this.#records.put(nameOf(record), record);
  }

  remove(record: EndpointRecord): void {
    this.#records.remove(nameOf(record));
  }

  list(): EndpointRecord[] {
    return this.#records.list();
  }

  of(containerId: string): EndpointRecord[] {
    return this.#records.list(`-${containerId}-`).filter(({ target }) => target.containerId === containerId);
  }

  /** Of which there is only a record that was set aside. */
  damaged(): { readonly name: string; readonly file: string }[] {
    return this.#records.damaged().map((name) => ({ name, file: this.#records.fileOfDamaged(name) }));
  }

  removeDamaged(name: string): void {
    this.#records.removeDamaged(name);
  }
}

/**
 * The path of an endpoint's namespace; empty where it is not that one any more: the path, or the number of a process
 * that ended, may be another's.
 */
export function netnsOf({ netns: path, netnsId, process }: EndpointRecord): string {
  if (process !== undefined && !isSame(process)) return '';
  try {
    using netns = tryOpenNetns(path);
    return netns?.id === netnsId ? path : '';
  } catch {
    return ''; // A file where a pin was, or a process that has just ended.
  }
}

/** What its record is called, and its file in libcni's cache. */
export function nameOf({
  network,
  ifname,
  target,
}: Pick<EndpointRecord, 'network' | 'ifname'> & {
  readonly target: Pick<EndpointRecord['target'], 'containerId'>;
}): string {
  return `${network}-${target.containerId}-${ifname}`;
}
