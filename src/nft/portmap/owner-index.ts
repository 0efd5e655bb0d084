/**
 * What an owner has published, by its name: the map `portmapN-owner`. With it a DEL finds its elements without the
 * configuration that made them and without looking at those of others. The first entry, with protocol and port 0, has
 * the container's address; the others are ports, as they were given.
 */
import { fnv1a } from '../../fnv.ts';
import type { Ip } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as element from '../element.ts';
import type { AddressKey, Layout, OwnerKey } from './layout.ts';

export interface Owned {
  readonly container: Ip;
  readonly ports: readonly AddressKey[];
  /** How many entries of the map it takes. */
  readonly entries: number;
}

/** The keys of the first `count` entries of an owner. */
export function ownerKeys(comment: string, count: number): OwnerKey[] {
  const keys: OwnerKey[] = [];
  const at = keyAt(comment);
  for (let i = 0; i < count; i++) keys.push(at(i));
  return keys;
}

/** The entries for what an owner publishes. */
export function ownerEntries(
  comment: string,
  container: Ip,
  ports: readonly AddressKey[],
): element.Element<OwnerKey, AddressKey>[] {
  const at = keyAt(comment);
  const entries: readonly AddressKey[] = [[container, 0, 0], ...ports];
  return entries.map((data, i) => ({ key: at(i), data }));
}

/** What an owner has published, or undefined if it has nothing. Costs one lookup for each port. */
export function ownedBy(nft: NetlinkSocket, { owner }: Layout, comment: string): Owned | undefined {
  const at = keyAt(comment);
  const found: AddressKey[] = [];
  for (;;) {
    const next = element.get(nft, owner, at(found.length))?.data;
    if (next === undefined) break;
    found.push(next);
  }
  const [first, ...ports] = found;
  return first && { container: first[0], ports, entries: found.length };
}

function keyAt(comment: string): (number: number) => OwnerKey {
  const hash = fnv1a(comment);
  const [high, low] = [Number.parseInt(hash.slice(0, 8), 16), Number.parseInt(hash.slice(8), 16)];
  return (number) => [high, low, number];
}
