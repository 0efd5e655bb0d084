/** portmap: ports of the host that lead to the container. Chained behind a plugin that gives it an address. */

import { attachedOf } from '../../attach/chained.ts';
import { gather } from '../../attach/gather.ts';
import { commentOf, isCommentOfNetwork, ownerOf, validOwners } from '../../attach/owner.ts';
import { Differences } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { messageOf } from '../../error.ts';
import { FAMILIES } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as portmap from '../../nft/portmap/portmap.ts';
import { openNft, requireNft, tryOpenNft } from '../../nft/socket.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { warnOfListeners } from './busy.ts';
import { conditionsOf } from './conditions.ts';
import { checkConf, type PortmapConf, schema } from './conf.ts';
import { forgetStrays, forgetTranslated } from './connections.ts';
import * as localnet from './localnet.ts';
import { isForLocalhost, publicationsOf } from './publications.ts';

export const portmapPlugin: Plugin<PortmapConf> = {
  type: 'portmap',
  about: 'ports of the host that lead to the container',
  schema,
  add,
  del,
  check,
  gc,
  status,
};

function add(call: CniCall<PortmapConf>): CniResult {
  checkConf(call.conf);
  const attached = attachedOf(call);
  const publications = publicationsOf(call, attached);
  if (publications.length === 0) return attached.result;
  using nl = openRoute();
  using nft = openNft();
  using undo = new DisposableStack();
  lookForListeners(call, publications);
  for (const port of publications.flatMap(({ ports }) => ports)) {
    if (`${port.host}` === '::1')
      call.warn(`nothing reaches the ${port.protocol} port ${port.hostPort} of ::1: IPv6 has no route_localnet`);
  }
  undo.defer(() => withdraw(call, nft, [commentOf(ownerOf(call))]));
  publish(call, nl, nft, publications);
  forgetStrays(nft, nl, publications);
  undo.move(); // All of it stands: nothing to undo.
  return attached.result;
}

/** Only for a warning, so an error here is no reason to fail. */
function lookForListeners(call: CniCall, publications: readonly portmap.Publication[]): void {
  try {
    warnOfListeners(call, publications);
  } catch (error) {
    call.warn(`Cannot tell whether a process on the host listens on a port: ${messageOf(error)}`);
  }
}

/** Publishes, and lets connections from the host's localhost in if an IPv4 publication asks for it. */
function publish(
  call: CniCall<PortmapConf>,
  nl: NetlinkSocket,
  nft: NetlinkSocket,
  publications: readonly portmap.Publication[],
): void {
  const local = publications.find((each) => each.container.family === 4 && isForLocalhost(each));
  const link = local && localnet.linkTo(nl, local.container);
  if (local === undefined || link === undefined) {
    portmap.publish(nft, publications);
    return;
  }
  using _lock = localnet.lockLocalnet(call.paths);
  const masquerading = { ...local.masquerading, localhost: localnet.toRemember(link) };
  portmap.publish(
    nft,
    publications.map((each) => (each === local ? { ...each, masquerading } : each)),
  );
  localnet.switchOn(link);
}

/** Withdraws what owners have published, and removes what nothing else needs. */
function withdraw(call: CniCall, nft: NetlinkSocket, owners: readonly string[]): void {
  gather(...owners.map((owner) => () => forgetTranslated(nft, portmap.withdraw(nft, owner))), () => {
    using _lock = localnet.lockLocalnet(call.paths);
    portmap.sweep(nft, localnet.restore, localnet.unrestore);
  });
}

/** Finds everything by the owner: needs neither the namespace nor prevResult nor the mappings. */
function del(call: CniCall<PortmapConf>): void {
  using nft = tryOpenNft();
  if (nft !== undefined && portmap.isInUse(nft)) withdraw(call, nft, [commentOf(ownerOf(call))]);
}

/** @throws NetloomError check-failed, with every difference */
function check(call: CniCall<PortmapConf>): void {
  checkConf(call.conf);
  const publications = publicationsOf(call, attachedOf(call));
  if (publications.length === 0) return;
  const differences = new Differences();
  using nl = openRoute();
  using nft = openNft();
  for (const publication of publications) {
    const { container } = publication;
    for (const { protocol, host, hostPort, containerPort } of portmap.missing(nft, publication)) {
      const at = host === undefined ? '' : ` of ${host}`;
      differences.add(`the ${protocol} port ${hostPort}${at} does not lead to ${container} port ${containerPort}`);
    }
    const link = container.family === 4 && isForLocalhost(publication) ? localnet.linkTo(nl, container) : undefined;
    if (link !== undefined && !localnet.isOn(link)) differences.add(`"route_localnet" of "${link.name}" is off`);
  }
  differences.throwIfAny();
}

function gc(call: CniCall<PortmapConf>): void {
  using nft = tryOpenNft();
  if (nft === undefined || !portmap.isInUse(nft)) return;
  const valid = new Set(validOwners(call).map(commentOf));
  const stale = portmap.owners(nft).filter((owner) => isCommentOfNetwork(owner, call.conf.name) && !valid.has(owner));
  withdraw(call, nft, stale);
}

/** @throws NetloomError not-available, invalid-config, unsupported-field */
function status(call: CniCall<PortmapConf>): void {
  checkConf(call.conf);
  for (const family of FAMILIES) conditionsOf(call.conf, family);
  requireNft('Cannot publish ports');
}
