/** Masquerading of an attachment's addresses: its elements in the nft table, by its owner. */
import type { CniCall } from '../cni/call.ts';
import type { CniIp } from '../cni/result.ts';
import type { Cidr } from '../net/cidr.ts';
import * as nftMasquerade from '../nft/masquerade.ts';
import { openNft, tryOpenNft } from '../nft/socket.ts';
import { gather } from './gather.ts';
import { commentOf, isCommentOfNetwork, ownerOf, validOwners } from './owner.ts';
import type { Differences } from './verify.ts';

/**
 * Gives packets that leave the subnet the host's address.
 * Equivalent to: `nft add element inet netloom masquerade4 { IP : jump … }`
 * @param inside the subnet, where it is not that of the addresses: an overlay has more than one node's prefix
 */
export function masquerade(call: CniCall, ips: readonly CniIp[], undo: DisposableStack, inside?: Cidr): void {
  const comment = commentOf(ownerOf(call));
  undo.defer(() => remove(entriesOf(ips, comment, inside)));
  using nft = openNft();
  for (const entry of entriesOf(ips, comment, inside)) nftMasquerade.add(nft, entry);
}

/**
 * Ends the masquerading of an attachment. With prevResult it knows the addresses; without, it looks for the owner's
 * comment among all elements.
 */
export function unmasquerade(call: CniCall): void {
  const comment = commentOf(ownerOf(call));
  const ips = call.conf.prevResult?.ips ?? [];
  remove(ips.length > 0 ? entriesOf(ips, comment) : entriesBy((other) => other === comment));
}

/** Ends the masquerading of a network's attachments that are no longer valid. */
export function removeStaleMasquerades(call: CniCall): void {
  remove(staleEntries(call));
}

/** The marks of the stale elements that are still there. */
export function staleMasqueradeMarks(call: CniCall): string[] {
  return staleEntries(call).map(({ comment }) => comment);
}

function staleEntries(call: CniCall): nftMasquerade.Masquerade[] {
  const valid = new Set(validOwners(call).map(commentOf));
  return entriesBy((comment) => isCommentOfNetwork(comment, call.conf.name) && !valid.has(comment));
}

/** Says which addresses are not masqueraded. @param inside as for masquerade() */
export function verifyMasquerade(call: CniCall, ips: readonly CniIp[], differences: Differences, inside?: Cidr): void {
  using nft = openNft();
  for (const entry of entriesOf(ips, commentOf(ownerOf(call)), inside)) {
    if (!nftMasquerade.has(nft, entry)) differences.add(`the address ${entry.ip} is not masqueraded`);
  }
}

/** The elements whose comment is wanted. */
function entriesBy(isWanted: (comment: string) => boolean): nftMasquerade.Masquerade[] {
  using nft = tryOpenNft();
  if (nft === undefined) return [];
  return nftMasquerade.list(nft).filter(({ comment }) => isWanted(comment));
}

function entriesOf(ips: readonly CniIp[], comment: string, inside?: Cidr): nftMasquerade.Masquerade[] {
  return ips.map(({ address }) => ({ ip: address.ip, subnet: inside ?? address.network(), comment }));
}

function remove(entries: readonly nftMasquerade.Masquerade[]): void {
  if (entries.length === 0) return;
  using nft = openNft();
  gather(...entries.map((entry) => () => nftMasquerade.remove(nft, entry)));
}
