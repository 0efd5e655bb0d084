/** The bridge as the gateway of its network: which addresses it needs, and how it gets them. */
import type { CniIp, CniResult, CniRoute } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { Cidr } from '../../net/cidr.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as addr from '../../rtnl/addr.ts';
import * as bridgeVlan from '../../rtnl/bridge-vlan.ts';
import * as link from '../../rtnl/link.ts';
import { isUsed } from './bridge.ts';
import { type BridgeConf, vlanInterfaceName } from './conf.ts';

/** The links that make up the gateway of a network. */
export interface GatewayTarget {
  readonly bridge: link.Link;
  /** The link that gets the addresses: the bridge, or the interface of a VLAN on it. */
  readonly on: link.Link;
  /** The index of the port that this ADD has made. It does not count as a use of the bridge when the ADD is undone. */
  readonly port: number;
}

export interface GatewayPlan {
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  /** The gateway addresses for the bridge, with the prefix of their subnet. */
  readonly addresses: readonly Cidr[];
}

/**
 * Completes the result of IPAM: with `isGateway` each address has a gateway (the first of its subnet if IPAM named
 * none), with `isDefaultGateway` each family a default route.
 * @param index the container's interface in the result's list
 */
export function planGateways(conf: BridgeConf, ipam: CniResult, index: number): GatewayPlan {
  const isGateway = conf.isGateway || conf.isDefaultGateway;
  const ips = (ipam.ips ?? []).map((ip): CniIp => {
    const gateway = ip.gateway ?? (isGateway ? ip.address.first().plus(1n) : undefined);
    return { ...ip, ...(gateway !== undefined && { gateway }), interface: index };
  });
  const routes = [...(ipam.routes ?? [])];
  const addresses: Cidr[] = [];
  for (const { address, gateway } of isGateway ? ips : []) {
    if (gateway === undefined) continue;
    if (!address.contains(gateway)) {
      throw new NetloomError(
        'invalid-config',
        `Cannot make "${conf.bridge}" the gateway ${gateway}: it is outside of ${address.network()}`,
      );
    }
    addresses.push(new Cidr(gateway, address.prefix));
    const everything = Cidr.everything(address.family);
    const hasDefault = routes.some(({ dst, gw }) => gw !== undefined && dst.equals(everything));
    if (conf.isDefaultGateway && !hasDefault) routes.push({ dst: everything, gw: gateway });
  }
  return { ips, routes, addresses };
}

/**
 * Gives the bridge, or a VLAN interface on it, the gateway's address. It can have only one IPv4 address; IPv6 addresses
 * of other subnets may stay.
 * @throws NetloomError address-conflict if it has another one, unless `force` replaces that
 */
export function ensureAddress(
  nl: NetlinkSocket,
  { bridge, on, port }: GatewayTarget,
  address: Cidr,
  force: boolean,
  undo: DisposableStack,
): void {
  const present = addr.list(nl, { link: on.index, family: address.family }).filter(({ scope }) => scope === 0);
  if (present.some((have) => have.address.equals(address))) return;
  const conflicts = present.filter((have) => address.family === 4 || have.address.overlaps(address));
  const [first] = conflicts;
  if (first !== undefined && !force) {
    throw new NetloomError(
      'address-conflict',
      `"${on.name}" already has an IP address different from ${address}: ${first.address}`,
      {
        hint: 'give the network a bridge of its own, or set "forceAddress"',
      },
    );
  }
  // NB: each undo before its message is sent. If the answer is lost, the kernel may have done it all the same.
  for (const { address: other, broadcast } of conflicts) {
    undo.defer(() => {
      nl.attempt([addr.add(on.index, other, { nodad: true, broadcast: broadcast !== undefined })]);
    });
    nl.execute(addr.remove(on.index, other));
  }
  let isOurs = true;
  undo.defer(() => {
    if (isOurs && !isUsed(nl, bridge, port)) nl.attempt([addr.remove(on.index, address)]);
  });
  for (const error of nl.attempt([addr.add(on.index, address, { nodad: true })]).values()) {
    // EEXIST: another call has just done the same.
    isOurs = false;
    if (error.code !== 'EEXIST') throw error;
  }
}

/**
 * The interface of a VLAN on top of a filtering bridge, where that VLAN's gateway address belongs.
 * Equivalent to: `ip link add link cni0 name cni0.100 type vlan id 100`
 */
export function ensureVlanInterface(
  nl: NetlinkSocket,
  bridge: link.Link,
  vlan: number,
  port: number,
  undo: DisposableStack,
): link.Link {
  const name = vlanInterfaceName({ bridge: bridge.name, vlan });
  const existing = link.find(nl, { name });
  if (existing !== undefined) return existing;
  undo.defer(() => {
    if (!isUsed(nl, bridge, port)) nl.attempt([link.remove({ name })]);
  });
  nl.executeAll([
    bridgeVlan.add(bridge.index, [{ first: vlan, last: vlan }], { self: true }),
    link.add({ name, link: bridge.index, linkinfo: { kind: 'vlan', data: { id: vlan } } }, { up: true }),
  ]);
  return link.get(nl, { name });
}
