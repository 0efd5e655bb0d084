/**
 * The ends of a wire that is routed: the host's end has the gateway's address, and each of the container's addresses
 * has a route over it.
 */
import type { CniIp, CniResult, CniRoute } from '../cni/result.ts';
import { Cidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as addr from '../rtnl/addr.ts';
import { RTPROT_NETLOOM } from '../rtnl/constants.ts';
import * as link from '../rtnl/link.ts';
import * as route from '../rtnl/route.ts';
import { configureInterface } from './addresses.ts';
import type { ContainerSide } from './namespace.ts';
import { type Differences, verifyInterface } from './verify.ts';
import type { Wire } from './wire.ts';

/** An address of the container with the gateway that it needs here. */
export type RoutedIp = CniIp & { readonly gateway: Ip };

/** Gives both ends their addresses and routes. An address without a gateway is only given to the container. */
export function configureRouted(
  nl: NetlinkSocket,
  container: ContainerSide,
  wire: Wire,
  ips: readonly CniIp[],
  routes: readonly CniRoute[],
): void {
  const routed = ips.filter((ip): ip is RoutedIp => ip.gateway !== undefined);
  nl.executeAll(hostEnd(wire, routed));
  configureInterface(container, {
    ifname: wire.container.name,
    index: wire.container.index,
    ips,
    routes,
    probesDuplicates: false,
    noPrefixRoute: true,
    firstRoutes: routed.flatMap((ip) => towardsGateway(wire, ip)),
  });
  nl.executeAll(routed.map(({ address }) => towardsContainer(wire, address)));
}

/** The gateway's address on the host's end. Many ends may have the same one. */
function hostEnd({ host }: Wire, ips: readonly RoutedIp[]): Request[] {
  const gateways = new Map(ips.map(({ gateway }) => [gateway.toString(), Cidr.alone(gateway)]));
  return [...gateways.values()].map((gateway) => addr.add(host.index, gateway, { nodad: true }));
}

/** In the container: the gateway is on the link, and the rest of the subnet behind it. */
function towardsGateway({ container }: Wire, { address, gateway }: RoutedIp): Request[] {
  const common = { oif: container.index, src: address.ip };
  return [
    route.add({ ...common, dst: Cidr.alone(gateway), scope: route.RT_SCOPE.LINK }),
    route.add({ ...common, dst: address.network(), gateway }),
  ];
}

/** On the host: the container's address is at the end of this wire. The scope is that of the reference plugin. */
function towardsContainer({ host }: Wire, address: Cidr): Request {
  const scope = address.family === 4 ? { scope: route.RT_SCOPE.HOST } : {};
  return route.add({ dst: Cidr.alone(address.ip), oif: host.index, protocol: RTPROT_NETLOOM, ...scope });
}

/**
 * The other end must be one of the host interfaces of the result, with the gateways' addresses and the routes to the
 * container's.
 */
export function verifyHostEnd(
  nl: NetlinkSocket,
  { name, attrs }: link.Link,
  { interfaces = [], ips = [] }: CniResult,
  differences: Differences,
): void {
  const end = attrs.link === undefined ? undefined : link.find(nl, { index: attrs.link });
  const expected = interfaces.find((candidate) => candidate.sandbox === undefined && candidate.name === end?.name);
  if (end === undefined || expected === undefined) {
    differences.add(`the other end of "${name}" is not among the interfaces of prevResult`);
    return;
  }
  verifyInterface(nl, expected, 'veth', differences);
  const addresses = addr.list(nl, { link: end.index });
  const routes = route.list(nl);
  for (const { address, gateway } of ips) {
    if (gateway !== undefined && !addresses.some((have) => have.address.equals(Cidr.alone(gateway)))) {
      differences.add(`"${end.name}" on the host lacks the gateway's address ${gateway}`);
    }
    if (!routes.some(({ dst, oif }) => oif === end.index && dst.equals(Cidr.alone(address.ip)))) {
      differences.add(`the route to ${address.ip} on the host is missing`);
    }
  }
}
