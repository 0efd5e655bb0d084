/** Endpoints whose record is damaged: what libcni's cache has of them is enough to take them away by. */
import { tryOpenNetns } from '../netns/namespace.ts';
import { AttachmentCache, type CachedAttachment } from './cache.ts';
import { cachedList, delChain } from './chain.ts';
import type { RuntimeContext } from './context.ts';
import { EndpointStore, nameOf } from './endpoints.ts';

export interface LostEndpoint {
  readonly attachment: CachedAttachment;
  /** The record that was set aside. */
  readonly file: string;
}

/** NB: a damaged record of what is not attached keeps nothing, and is left for whoever can read it. */
export function lostEndpoints(context: RuntimeContext): LostEndpoint[] {
  const store = new EndpointStore(context);
  store.list(); // What is damaged is known only when it was read.
  const damaged = new Map(store.damaged().map(({ name, file }) => [name, file]));
  if (damaged.size === 0) return [];
  return new AttachmentCache(context.paths.cni).list(context.warn).flatMap((attachment) => {
    const file = damaged.get(nameOf({ ...attachment, target: attachment }));
    return file === undefined ? [] : [{ attachment, file }];
  });
}

/**
 * Whether nothing is at the path any more. NB: where something is, it may be another's by now, so what is there is left
 * to a person.
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
