/**
 * The nftables rules for a network's devices on this node. They keep marks out of the tunnel, and the traffic of an
 * internal network within it.
 */
import { commentOf } from '../../attach/owner.ts';
import type { Differences } from '../../attach/verify.ts';
import * as nftOverlay from '../../nft/overlay.ts';
import { openNft, requireNft, tryOpenNft } from '../../nft/socket.ts';
import type { Intent } from '../../overlay/intent.ts';
import { bridgeName, tunnelName } from '../../overlay/network.ts';
import type { OverlayConf } from './conf.ts';

export function guard({ network }: Pick<Intent, 'network'>, conf: OverlayConf): void {
  const wanted = guardOf(conf, network.mode);
  if (guardsNothing(wanted)) return;
  using nft = openNft();
  nftOverlay.add(nft, wanted);
}

/** For STATUS. @throws NetloomError not-available if there is something to guard and the kernel has no nf_tables */
export function requireGuard({ network }: Pick<Intent, 'network'>, conf: OverlayConf): void {
  if (!guardsNothing(guardOf(conf, network.mode))) requireNft('Cannot keep packets in the overlay');
}

/** Removes the rules of every mode and of an internal network: the configuration may have been another. */
export function unguard(conf: OverlayConf): void {
  using nft = tryOpenNft();
  if (nft === undefined) return;
  for (const mode of ['l3', 'l2'] as const) nftOverlay.remove(nft, { ...guardOf({ ...conf, internal: true }, mode) });
}

export function verifyGuard({ network }: Intent, conf: OverlayConf, differences: Differences): void {
  using nft = openNft();
  differences.add(...nftOverlay.differences(nft, guardOf(conf, network.mode)));
}

function guardsNothing({ tunnel, internal }: nftOverlay.OverlayGuard): boolean {
  return tunnel === undefined && internal === undefined;
}

/** In the mode `l2`, packets that this host routes into the tunnel leave it by the bridge. */
function guardOf({ name, internal, subnet }: OverlayConf, mode: string): nftOverlay.OverlayGuard {
  const bridge = bridgeName(name);
  return {
    ...(mode !== 'direct' && { tunnel: mode === 'l2' ? bridge : tunnelName(name) }),
    ...(internal && { internal: { ifname: bridge, subnet } }),
    comment: commentOf(name),
  };
}
