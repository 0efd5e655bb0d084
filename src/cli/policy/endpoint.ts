/** The endpoint that a person names: its owner, its link on the host, and its addresses, all read from the kernel. */
import { ownerName } from '../../attach/owner.ts';
import { hostEndName } from '../../attach/wire.ts';
import { NetloomError } from '../../error.ts';
import type { Ip } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as addr from '../../rtnl/addr.ts';
import * as link from '../../rtnl/link.ts';
import { unknownEndpoint } from './unknown.ts';
import { wiredOwner } from './wires.ts';

export interface EndpointName {
  readonly network: string;
  readonly container: string;
  readonly ifname: string;
}

export interface Endpoint {
  readonly owner: string;
  readonly hostEnd: link.Link;
  readonly ips: readonly Ip[];
}

/** `network/container`, with `/ifname` where that is not `eth0`. @throws NetloomError invalid-value */
export function parseEndpoint(text: string): EndpointName {
  const [network = '', container = '', ifname = 'eth0', ...more] = text.split('/');
  if (network !== '' && container !== '' && ifname !== '' && more.length === 0) return { network, container, ifname };
  throw new NetloomError(
    'invalid-value',
    `${JSON.stringify(text)} is not an endpoint, expected NETWORK/CONTAINER or NETWORK/CONTAINER/IFNAME`,
  );
}

export function ownerOfEndpoint({ network, container, ifname }: EndpointName): string {
  return ownerName(network, { containerID: container, ifname });
}

/** @throws NetloomError unknown-container where it has no wire on this host; the error names those that have one */
export function findEndpoint(nl: NetlinkSocket, name: EndpointName): Endpoint {
  const asked = ownerOfEndpoint(name);
  const owner = wiredOwner(nl, asked) ?? asked;
  const hostEnd = link.find(nl, { name: hostEndName(owner) });
  const { linkNetnsid: targetNetnsid, link: peer } = hostEnd?.attrs ?? {};
  if (hostEnd === undefined || targetNetnsid === undefined || peer === undefined) throw unknownEndpoint(nl, owner);
  const addresses = addr.list(nl, { link: peer, targetNetnsid });
  // Link-local addresses are not subject to policy.
  return { owner, hostEnd, ips: addresses.filter(({ scope }) => scope === 0).map(({ address }) => address.ip) };
}
