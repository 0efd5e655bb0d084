/**
 * The endpoints that netloom has made: which target is on which network, and what was requested for it. A record is
 * written before the first plugin is called, so that nothing is ever made without one.
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
    /** Device and inode: they differ for a namespace that was recreated at the same path. */
    netnsId: v.string(),
    /** The process that the namespace was found by. */
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

  /** Records that were set aside as damaged and not replaced since. */
  damaged(): { readonly name: string; readonly file: string }[] {
    return this.#records.damaged().map((name) => ({ name, file: this.#records.fileOfDamaged(name) }));
  }

  removeDamaged(name: string): void {
    this.#records.removeDamaged(name);
  }
}

/**
 * The path of an endpoint's namespace; empty where the path no longer leads to it. The path, or the number of a process
 * that ended, may be another's by now.
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

/** The name of its record, and of its file in libcni's cache. */
export function nameOf({
  network,
  ifname,
  target,
}: Pick<EndpointRecord, 'network' | 'ifname'> & {
  readonly target: Pick<EndpointRecord['target'], 'containerId'>;
}): string {
  return `${network}-${target.containerId}-${ifname}`;
}
