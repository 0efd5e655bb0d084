/** The next intent from changes of single nodes, without a look at the thousands that have not changed. */
import type { Intent } from './intent.ts';
import type { OverlayNode } from './network.ts';
import type { Change, NodeRecord } from './record.ts';

export interface Amended {
  readonly intent: Intent;
  /** The changed peers as they were (`gone`) and as they are now (`come`): see follow(). */
  readonly gone: readonly OverlayNode[];
  readonly come: readonly OverlayNode[];
}

/**
 * @returns undefined where everything has to be compared instead: a change concerns this node itself, gives a node
 * another prefix, overlaps with one, or has an address of the other family or this node's own; or several nodes leave
 * at once, which may be a store that is being taken away
 */
export function amended(intent: Intent, changes: readonly Change[]): Amended | undefined {
  if (changes.filter((change) => 'gone' in change).length > 1) return undefined;
  const peers = [...intent.peers];
  const [gone, come] = [new Set<OverlayNode>(), new Set<OverlayNode>()];
  for (const change of changes) {
    const name = 'put' in change ? change.put.name : change.gone;
    if (name === intent.own.name) return undefined;
    const found = peers.findIndex((peer) => peer.name === name);
    const before = peers[found];
    const at = 'put' in change ? placeOf(peers, found, change.put, intent) : found;
    if (at === undefined) return undefined;
    if (before !== undefined && !come.delete(before)) gone.add(before);
    if ('put' in change) {
      peers.splice(at, before === undefined ? 0 : 1, change.put);
      come.add(change.put);
    } else if (before !== undefined) peers.splice(at, 1);
  }
  return { intent: { ...intent, peers }, gone: [...gone], come: [...come] };
}

/** The index of a peer in the order of prefixes; undefined where the record cannot be a peer as it is. */
function placeOf(
  peers: readonly OverlayNode[],
  found: number,
  { address, subnet }: NodeRecord,
  { own, network }: Intent,
): number | undefined {
  if (address.family !== own.address.family || address.equals(own.address)) return undefined;
  const before = peers[found];
  if (before !== undefined) return before.subnet.equals(subnet) ? found : undefined;
  const isInside = subnet.prefix >= network.subnet.prefix && network.subnet.contains(subnet.ip);
  if (!isInside || subnet.overlaps(own.subnet)) return undefined;
  let [from, to] = [0, peers.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((peers[middle]?.subnet.ip.compare(subnet.ip) ?? 0) < 0) from = middle + 1;
    else to = middle;
  }
  const neighbours = [peers[from - 1], peers[from]];
  return neighbours.some((peer) => peer?.subnet.overlaps(subnet)) ? undefined : from;
}
