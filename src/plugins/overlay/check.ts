/** CHECK of an overlay attachment: the container's side, its wire, and the way to every other node. */
import { verifyMasquerade } from '../../attach/masquerade.ts';
import { openContainer } from '../../attach/namespace.ts';
import { verifyHostEnd } from '../../attach/routed-wire.ts';
import { Differences, verifyAddresses, verifyInContainer } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import { prevResultOf } from '../../cni/config.ts';
import { ipamCheck } from '../../ipam/delegate.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { bridgeName } from '../../overlay/network.ts';
import { overlayDifferences } from '../../overlay/reconcile.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { isRouted, type OverlayConf } from './conf.ts';
import { verifyGuard } from './guard.ts';
import { intentOf, masquerades } from './intent.ts';
import { withNodeRange } from './ipam.ts';

/** @throws NetloomError check-failed, with every difference */
export function check(call: CniCall<OverlayConf>): void {
  const { conf, ifname } = call;
  const result = prevResultOf(conf);
  using nl = openRoute();
  const intent = intentOf(nl, call, false);
  ipamCheck(withNodeRange(call, intent));
  const differences = new Differences();
  using container = openContainer(call);
  const found = verifyInContainer(container.nl, ifname, result, 'veth', differences);
  if (found !== undefined) {
    verifyAddresses(container.nl, found.index, result, differences);
    if (isRouted(conf)) verifyHostEnd(nl, found, result, differences);
    else verifyPort(nl, found, conf.name, differences);
  }
  differences.add(...overlayDifferences(nl, intent));
  verifyGuard(intent, conf, differences);
  if (masquerades(conf)) verifyMasquerade(call, result.ips ?? [], differences, conf.subnet);
  differences.throwIfAny();
}

function verifyPort(nl: NetlinkSocket, { name, attrs }: link.Link, network: string, differences: Differences): void {
  const end = attrs.link === undefined ? undefined : link.find(nl, { index: attrs.link });
  const bridge = link.find(nl, { name: bridgeName(network) });
  if (end === undefined || !end.isUp) differences.add(`the other end of "${name}" on the host is missing or down`);
  else if (end.master !== bridge?.index) differences.add(`"${end.name}" is not a port of the overlay's bridge`);
}
