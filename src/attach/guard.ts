/** Guarding an attachment's bridge port against frames from any MAC but the container's (`macspoofchk`). */
import type { CniCall } from '../cni/call.ts';
import type { Mac } from '../net/mac.ts';
import * as macSpoofing from '../nft/mac-spoofing.ts';
import { openNft, tryOpenNft } from '../nft/socket.ts';
import { commentOf, isCommentOfNetwork, ownerOf, validOwners } from './owner.ts';
import type { Differences } from './verify.ts';

/** Guards a port of the attachment; `undo` ends that. @param mac the container's */
export function guardPort(call: CniCall, port: string, mac: Mac, undo: DisposableStack): void {
  const comment = commentOf(ownerOf(call));
  undo.defer(() => unguardPort(call));
  using nft = openNft();
  macSpoofing.add(nft, { port, mac, comment });
}

export function unguardPort(call: CniCall): void {
  const owner = commentOf(ownerOf(call));
  using nft = openNft();
  macSpoofing.remove(nft, (comment) => comment === owner);
}

/** Ends the guards of a network's attachments that are no longer valid. */
export function removeStaleGuards(call: CniCall): void {
  const valid = new Set(validOwners(call).map(commentOf));
  using nft = tryOpenNft();
  if (nft === undefined) return;
  macSpoofing.remove(nft, (comment) => isCommentOfNetwork(comment, call.conf.name) && !valid.has(comment));
}

export function verifyGuard(port: string, mac: Mac, differences: Differences): void {
  using nft = openNft();
  if (!macSpoofing.has(nft, { port, mac }))
    differences.add(`the port "${port}" is not guarded against frames from other MACs than ${mac}`);
}
