/**
 * The owners of namespaces, by names for people: sandboxes, pods, containers of engines, pins; and the network that an
 * interface is attached to.
 */
import { hasCode, messageOf } from '../error.ts';
import { tryReadText, tryStat } from '../ffi/file.ts';
import type { FoundNetns } from '../netns/every.ts';
import { AttachmentCache, type CachedAttachment } from '../runtime/cache.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { enginesOf } from '../runtime/engine/engines.ts';
import { sandboxNetns, sandboxRecords } from '../runtime/sandbox/store.ts';
import type { NamespaceEntry } from './snapshot.ts';

export type Name = NamespaceEntry['names'][number];

/** Where `ip netns` and others pin namespaces, which people know by their file names. */
const NETNS_DIRECTORY = /^(\/var)?\/run\/netns\//;

export interface Attachment {
  readonly network: string;
  readonly container: string;
}

export interface Owners {
  namesOf(netns: FoundNetns): Name[];
  /** By the inode of the namespace and the name of the interface. */
  attachmentOf(inode: string, ifname: string): Attachment | undefined;
}

/** Queries every source once. One that does not answer is reported. */
export function ownersOf(context: RuntimeContext, warn: (message: string) => void): Owners {
  const byInode = new Map<string, Name[]>();
  const byPid = new Map<number, Name[]>();
  const add = <K>(map: Map<K, Name[]>, key: K, name: Name) => map.set(key, [...(map.get(key) ?? []), name]);
  for (const { name, mode } of seen(() => sandboxRecords(context).list(), warn)) {
    const inode = mode === 'host' ? undefined : inodeAt(sandboxNetns(context, name));
    if (inode !== undefined) add(byInode, inode, { kind: 'sandbox', name });
  }
  for (const engine of enginesOf(context.environment)) {
    try {
      if (!engine.isHere()) continue;
      for (const { id, name, pid } of engine.running()) add(byPid, pid, { kind: engine.name, name, id });
    } catch (error) {
      warn(messageOf(error));
    }
  }
  const attachments = new Map<string, Attachment>();
  for (const attachment of seen(() => new AttachmentCache(context.paths.cni).list(warn), warn)) {
    const { network, containerId, ifname, args } = attachment;
    const netns = netnsOf(attachment);
    const inode = netns === '' ? undefined : inodeAt(netns);
    if (inode === undefined) continue;
    attachments.set(`${inode} ${ifname}`, { network, container: containerId });
    const pod = podOf(args);
    if (pod !== undefined) add(byInode, inode, { kind: 'pod', name: pod, id: containerId });
  }
  return {
    namesOf({ inode, pids, pins }) {
      const engines = pids.flatMap((pid) => byPid.get(pid) ?? []);
      const pinned = pins.map((path) => ({
        kind: NETNS_DIRECTORY.test(path) ? 'netns' : 'pin',
        name: path.slice(path.lastIndexOf('/') + 1),
      }));
      const [first] = pids;
      const process = first === undefined ? [] : [{ kind: 'process', name: `${commandOf(first)}[${first}]` }];
      return distinct([...(byInode.get(inode) ?? []), ...engines, ...pinned, ...process]);
    },
    attachmentOf: (inode, ifname) => attachments.get(`${inode} ${ifname}`),
  };
}

/** Only root can read the records; other users see the wiring without them. */
function seen<T>(list: () => T[], warn: (message: string) => void): T[] {
  try {
    return list();
  } catch (error) {
    if (!hasCode(error, 'EACCES')) throw error;
    warn(messageOf(error));
    return [];
  }
}

/**
 * The path of an attachment's namespace, which may be gone. libcni before 1.2 (containerd 1.6, podman 4.3) keeps it in
 * the result alone.
 */
function netnsOf({ netns, ifname, result }: CachedAttachment): string {
  const { interfaces } = result ?? {};
  if (netns !== '' || !Array.isArray(interfaces)) return netns;
  const found: unknown = interfaces.find((each) => each?.name === ifname)?.sandbox;
  return typeof found === 'string' ? found : '';
}

/** `NAMESPACE/NAME`, where a Kubernetes runtime has passed them to the plugins of a pod. */
function podOf(args: readonly (readonly [string, string])[]): string | undefined {
  const { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: name } = Object.fromEntries(args);
  return namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`;
}

/** The name of a process's program, as `ps` shows it. */
export function commandOf(pid: number): string {
  try {
    return (tryReadText(`/proc/${pid}/comm`) ?? '').trim() || '?';
  } catch {
    return '?'; // It has just ended.
  }
}

/** Drops repeated names: the pin of a sandbox has the sandbox's name. */
function distinct(names: readonly Name[]): Name[] {
  return names.filter(({ name }, i) => names.findIndex((other) => other.name === name) === i);
}

/** The inode of the namespace at a path. NB: for any other file its own inode, which is that of no namespace. */
function inodeAt(path: string): string | undefined {
  try {
    return tryStat(path)?.ino.toString();
  } catch {
    return undefined; // A process that has just ended.
  }
}
