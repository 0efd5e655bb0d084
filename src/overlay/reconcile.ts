/** Brings the kernel to what an overlay needs, by a set difference. Where nothing differs, nothing is written. */
import { hasCode } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { deviceDifferences, ensureDevices, type OverlayDevices } from './devices.ts';
import {
  byKey,
  type Difference,
  difference,
  ENTRY_KINDS,
  extra,
  forgetLearned,
  missing,
  readEntries,
} from './entries.ts';
import { type Intent, wantedEntries } from './intent.ts';
import type { OverlayNode } from './network.ts';

/** How many requests are made at a time: each takes some hundred bytes, and is needed only once. */
const AT_ONCE = 128;

/** Brings devices, FDB, neighbours and routes to what is wanted. Safe while others do the same. */
export function reconcile(nl: NetlinkSocket, intent: Intent): OverlayDevices {
  const devices = ensureDevices(nl, intent);
  const tunnel = devices.tunnel?.index;
  const leftOver: Difference[] = [];
  // NB: kind by kind, so that of thousands of peers only one kind of entries is in memory at a time. A route comes last
  // and goes first.
  for (const kind of ENTRY_KINDS) {
    const have = readEntries(nl, intent.network, tunnel, [kind]);
    const wanted = new Set<string>();
    carryOut(nl, missing(have, wantedEntries(intent, tunnel, [kind]), wanted));
    leftOver.unshift(...extra(have, wanted));
  }
  carryOut(nl, leftOver);
  if (tunnel !== undefined) {
    const left = leftOver.flatMap((each) => each.left ?? []);
    forgetLearned(nl, tunnel, left);
  }
  return devices;
}

/** What reconcile() would change, in sentences. */
export function overlayDifferences(nl: NetlinkSocket, intent: Intent): string[] {
  const { sentences, tunnel } = deviceDifferences(nl, intent);
  if (tunnel === undefined && intent.network.mode !== 'direct') return sentences;
  const index = tunnel?.index;
  for (const { sentence } of difference(readEntries(nl, intent.network, index), wantedEntries(intent, index))) {
    sentences.push(sentence);
  }
  return sentences;
}

/** Sends the requests in batches. It is no error if an entry to remove is gone already, or went with something else. */
export function carryOut(nl: NetlinkSocket, differences: Iterable<Difference>): void {
  let some: Difference[] = [];
  for (const each of differences) {
    some.push(each);
    if (some.length < AT_ONCE) continue;
    send(nl, some);
    some = [];
  }
  send(nl, some);
}

function send(nl: NetlinkSocket, some: readonly Difference[]): void {
  for (const [i, error] of nl.attempt(some.map((each) => each.request()))) {
    const isGone = some[i]?.isRemoval === true && hasCode(error, 'ENOENT', 'ESRCH', 'ENODEV');
    if (!isGone) throw error;
  }
}

/**
 * Goes from one applied intent to the next by their difference, without reading what the kernel has: one peer of 5,000
 * that moves takes a millisecond. The caller must have just applied the first; reconcile() finds what others have
 * changed meanwhile.
 */
export function follow(nl: NetlinkSocket, before: Intent, after: Intent, tunnel: number | undefined): void {
  const { gone, come } = changesOf(before.peers, after.peers);
  replacePeers(nl, after, gone, come, tunnel);
}

/**
 * Replaces the entries of the peers that are gone, which are known to be in the kernel, with those of the peers that
 * have come.
 * @param after all peers after the change
 */
export function replacePeers(
  nl: NetlinkSocket,
  { network, peers: after }: Pick<Intent, 'network' | 'peers'>,
  gone: readonly OverlayNode[],
  come: readonly OverlayNode[],
  tunnel: number | undefined,
): void {
  const isOneLink = network.mode === 'l2';
  // NB: on one layer 2 the entry of a peer is its address alone. A crashed peer still has its address in the store when
  // another machine gets it.
  const held = new Set(isOneLink && gone.length > 0 ? after.map(({ address }) => `${address}`) : []);
  const left = gone.filter(({ address }) => !held.has(`${address}`));
  const entries = (peers: readonly OverlayNode[]) => wantedEntries({ network, peers }, tunnel);
  carryOut(nl, difference(byKey(entries(left)), entries(come)));
  if (isOneLink && tunnel !== undefined) {
    const places = gone.map(({ address }) => address);
    forgetLearned(nl, tunnel, places);
  }
}

/** The peers that are gone, and those that are new. One that has changed is in both. */
export function changesOf(
  before: readonly OverlayNode[],
  after: readonly OverlayNode[],
): { readonly gone: OverlayNode[]; readonly come: OverlayNode[] } {
  // Most may be the same objects. Of the rest, those with equal content are no change either.
  const former = new Set(before);
  const others = after.filter((peer) => !former.delete(peer));
  const gone = new Map([...former].map((peer) => [keyOf(peer), peer]));
  const come = others.filter((peer) => !gone.delete(keyOf(peer)));
  return { gone: [...gone.values()], come };
}

function keyOf({ name, address, subnet }: OverlayNode): string {
  return `${name} ${address} ${subnet}`;
}
