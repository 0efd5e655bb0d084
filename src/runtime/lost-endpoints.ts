/** Endpoints whose record is damaged: their entry in libcni's cache suffices to remove them. */
import { tryOpenNetns } from '../netns/namespace.ts';
import { AttachmentCache, type CachedAttachment } from './cache.ts';
import { cachedList, delChain } from './chain.ts';
import type { RuntimeContext } from './context.ts';
import { EndpointStore, nameOf } from './endpoints.ts';

export interface LostEndpoint {
  readonly attachment: CachedAttachment;
  /** The damaged record. */
  readonly file: string;
}

/** NB: a damaged record without an attachment keeps nothing alive, and is left for a person to read. */
export function lostEndpoints(context: RuntimeContext): LostEndpoint[] {
  const store = new EndpointStore(context);
  store.list(); // Reading the records detects damaged ones.
  const damaged = new Map(store.damaged().map(({ name, file }) => [name, file]));
  if (damaged.size === 0) return [];
  return new AttachmentCache(context.paths.cni).list(context.warn).flatMap((attachment) => {
    const file = damaged.get(nameOf({ ...attachment, target: attachment }));
    return file === undefined ? [] : [{ attachment, file }];
  });
}

/**
 * Whether nothing is at the path any more. NB: if something is, it may be another's by now, so it is left to a person.
 */
export function isGone({ attachment: { netns: path } }: LostEndpoint): boolean {
  try {
    using netns = path === '' ? undefined : tryOpenNetns(path);
    return netns === undefined;
  } catch {
    return true; // A file where a pin was, or a process that has just ended.
  }
}

/** @param netns path of its namespace; empty where that is gone */
export function removeLostEndpoint(context: RuntimeContext, { attachment }: LostEndpoint, netns: string): void {
  delChain(context, cachedList(attachment), { ...attachment, netns });
  new EndpointStore(context).removeDamaged(nameOf({ ...attachment, target: attachment }));
}
