/** CHECK of a bridge attachment. */
import { verifyGuard } from '../../attach/guard.ts';
import { verifyMasquerade } from '../../attach/masquerade.ts';
import { openContainer } from '../../attach/namespace.ts';
import {
  Differences,
  verifyAddresses,
  verifyInContainer,
  verifyInterface,
  verifyPresence,
} from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import { prevResultOf } from '../../cni/config.ts';
import type { CniInterface, CniResult } from '../../cni/result.ts';
import { ipamCheck } from '../../ipam/delegate.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as addr from '../../rtnl/addr.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { isPromiscuous } from './bridge.ts';
import { type BridgeConf, checkConf, vlanInterfaceName } from './conf.ts';

/** @throws NetloomError check-failed, with every difference */
export function check(call: CniCall<BridgeConf>): void {
  const { conf, ifname } = call;
  checkConf(conf);
  const result = prevResultOf(conf);
  if (conf.ipam !== undefined) ipamCheck(call);
  const differences = new Differences();
  using container = openContainer(call);
  using nl = openRoute();
  const interfaces = result.interfaces ?? [];
  const found = verifyInContainer(container.nl, ifname, result, 'veth', differences);
  if (found !== undefined) {
    const ends = interfaces.filter(({ name, sandbox }) => sandbox === undefined && name !== conf.bridge);
    verifyHostEnd(nl, conf, found, ends, differences);
    verifyAddresses(container.nl, found.index, result, differences);
  }
  const expected = interfaces.find(({ name, sandbox }) => name === conf.bridge && sandbox === undefined) ?? {
    name: conf.bridge,
  };
  const bridge = verifyInterface(nl, expected, 'bridge', differences);
  if (bridge !== undefined) {
    if (conf.promiscMode && !isPromiscuous(bridge)) differences.add(`"${conf.bridge}" is not in promiscuous mode`);
    if (conf.isGateway || conf.isDefaultGateway) verifyGateway(nl, conf, bridge, result, differences);
  }
  if (conf.ipMasq) verifyMasquerade(call, result.ips ?? [], differences);
  differences.throwIfAny();
}

/** The container's other end must be one of the host interfaces of the result, and a port of the bridge. */
function verifyHostEnd(
  nl: NetlinkSocket,
  conf: BridgeConf,
  inContainer: link.Link,
  candidates: readonly CniInterface[],
  differences: Differences,
): void {
  const end = inContainer.attrs.link === undefined ? undefined : link.find(nl, { index: inContainer.attrs.link });
  if (end === undefined || end.kind !== 'veth' || !candidates.some(({ name }) => name === end.name)) {
    differences.add(`the other end of "${inContainer.name}" is not among the interfaces of prevResult`);
    return;
  }
  if (!end.isUp) differences.add(`"${end.name}" on the host is down`);
  if (conf.macspoofchk && inContainer.mac !== undefined) verifyGuard(end.name, inContainer.mac, differences);
  const bridge = link.find(nl, { name: conf.bridge });
  if (bridge !== undefined && end.master !== bridge.index)
    differences.add(`"${end.name}" is not a port of "${conf.bridge}"`);
}

/** The bridge, or the interface of the VLAN on it, must have the address of each gateway. */
function verifyGateway(
  nl: NetlinkSocket,
  conf: BridgeConf,
  bridge: link.Link,
  { ips = [] }: CniResult,
  differences: Differences,
): void {
  const on = conf.vlan > 0 ? verifyPresence(nl, vlanInterfaceName(conf), 'on the host', differences) : bridge;
  if (on === undefined) return;
  const addresses = addr.list(nl, { link: on.index });
  for (const { address, gateway } of ips) {
    if (gateway === undefined || addresses.some((have) => have.address.ip.equals(gateway))) continue;
    differences.add(`"${on.name}" on the host lacks the gateway's address ${gateway}/${address.prefix}`);
  }
}
