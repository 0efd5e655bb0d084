/**
 * firewall: lets the container's packets through this host, as far as the configuration allows. Chained behind the
 * plugin that makes the interface.
 */
import { type Attached, attachedOf, hostLinks } from '../../attach/chained.ts';
import { gather } from '../../attach/gather.ts';
import { commentOf, isCommentOfNetwork, ownerOf, validOwners } from '../../attach/owner.ts';
import { Differences } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import * as forwarding from '../../nft/firewall.ts';
import { openNft, requireNft, tryOpenNft } from '../../nft/socket.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { adminChainOf, type FirewallConf, ingressOf, schema } from './conf.ts';
import { fenceOf, formerFence, isolatePorts, verifyIsolation } from './fence.ts';
import { passObstacles, verifyObstacles } from './obstacles.ts';

export const firewall: Plugin<FirewallConf> = {
  type: 'firewall',
  about: 'forwarding for the container, or none',
  schema,
  add,
  del,
  check,
  gc,
  status,
};

function add(call: CniCall<FirewallConf>): CniResult {
  const { conf } = call;
  const attached = attachedOf(call);
  const adminChain = adminChainOf(conf);
  using nl = openRoute();
  using undo = new DisposableStack();
  const links = hostLinks(nl, attached);
  const fence = fenceOf(conf, links);
  if (ingressOf(conf) === 'isolated') isolatePorts(nl, links, undo);
  const entries = entriesOf(call, attached, fence);
  undo.defer(() => {
    remove(entries);
  });
  using nft = openNft();
  for (const entry of entries) forwarding.add(nft, entry, adminChain);
  passObstacles(call, nft, attached.ips);
  undo.move(); // All of it stands: nothing to undo.
  return attached.result;
}

/**
 * With prevResult the addresses are known. Without it, or if none of them is the owner's, all elements are searched for
 * the owner's comment. The port's isolation is gone with the port.
 */
function del(call: CniCall<FirewallConf>): void {
  const owner = commentOf(ownerOf(call));
  if (call.conf.prevResult !== undefined) {
    const attached = attachedOf(call);
    using nl = openRoute();
    if (remove(entriesOf(call, attached, formerFence(attached, hostLinks(nl, attached))))) return;
  }
  removeBy((comment) => comment === owner);
}

function check(call: CniCall<FirewallConf>): void {
  const { conf } = call;
  const attached = attachedOf(call);
  const adminChain = adminChainOf(conf);
  const differences = new Differences();
  using nl = openRoute();
  using nft = openNft();
  const links = hostLinks(nl, attached);
  if (ingressOf(conf) === 'isolated') verifyIsolation(links, differences);
  const found = entriesOf(call, attached, fenceOf(conf, links)).flatMap((entry) =>
    forwarding.differences(nft, entry, adminChain),
  );
  differences.add(...new Set(found));
  verifyObstacles(attached.ips, differences);
  differences.throwIfAny();
}

function gc(call: CniCall<FirewallConf>): void {
  const valid = new Set(validOwners(call).map(commentOf));
  removeBy((comment) => isCommentOfNetwork(comment, call.conf.name) && !valid.has(comment));
}

/** @throws NetloomError not-available with the reason */
function status({ conf }: CniCall<FirewallConf>): void {
  ingressOf(conf);
  adminChainOf(conf);
  requireNft('Cannot allow anything to be forwarded');
}

function entriesOf(
  call: CniCall<FirewallConf>,
  { ips }: Pick<Attached, 'ips'>,
  fence: forwarding.Fence | undefined,
): forwarding.Forwarding[] {
  const comment = commentOf(ownerOf(call));
  return ips.map(({ address }) => ({ ip: address.ip, fence, comment }));
}

/** @returns whether there was anything */
function remove(entries: readonly forwarding.Forwarding[]): boolean {
  let wasThere = false;
  using nft = tryOpenNft();
  if (nft === undefined) return wasThere;
  gather(
    ...entries.map((entry) => () => {
      if (forwarding.remove(nft, entry)) wasThere = true;
    }),
    () => forwarding.sweep(nft, false),
  );
  return wasThere;
}

function removeBy(isWanted: (comment: string) => boolean): void {
  using nft = tryOpenNft();
  if (nft === undefined) return;
  const entries = forwarding.list(nft).filter(({ comment }) => isWanted(comment));
  gather(...entries.map((entry) => () => forwarding.remove(nft, entry)), () => forwarding.sweep(nft, true));
}
