/** What a call publishes: its port mappings with the container's addresses. */
import type { Attached } from '../../attach/chained.ts';
import { commentOf, ownerOf } from '../../attach/owner.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import { isAny } from '../../nft/portmap/layout.ts';
import type { Publication, PublishedPort } from '../../nft/portmap/portmap.ts';
import { conditionsOf } from './conditions.ts';
import { keyOf, mappingsOf, type PortMapping, type PortmapConf } from './conf.ts';

/**
 * One publication for each family of the container's addresses, by the first address of the family. A mapping of a
 * family that the container does not have is skipped, with a warning. Both as in the reference plugin, since runtimes
 * ask for ports on 0.0.0.0 and on :: alike.
 * @throws NetloomError invalid-config
 */
export function publicationsOf(call: CniCall<PortmapConf>, { ips }: Attached): Publication[] {
  const mappings = mappingsOf(call.conf);
  if (mappings.length === 0) return [];
  const addresses = [4, 6].flatMap((family) => ips.find(({ address }) => address.family === family)?.address ?? []);
  for (const mapping of mappings) {
    const { hostIP, hostPort } = mapping;
    if (addresses.some(({ family }) => hostIP === undefined || family === hostIP.family)) continue;
    const asked = hostIP === undefined ? '' : ` of the family of "${keyOf(mappings, mapping, 'hostIP')}", "${hostIP}"`;
    call.warn(`the port ${hostPort} leads nowhere: the container has no address${asked}`);
  }
  const comment = commentOf(ownerOf(call));
  return addresses.flatMap((address) => {
    const ports = mappings.filter(({ hostIP }) => hostIP === undefined || hostIP.family === address.family).map(portOf);
    if (ports.length === 0) return [];
    const masquerading = masqueradingOf(call.conf, address, ports);
    return [
      { container: address.ip, ports, masquerading, conditions: conditionsOf(call.conf, address.family), comment },
    ];
  });
}

/** Whether connections from the host's own localhost lead to a publication. */
export function isForLocalhost({ masquerading }: Publication): boolean {
  return masquerading.localhost !== undefined;
}

function masqueradingOf({ snat, masqAll }: PortmapConf, subnet: Cidr, ports: readonly PublishedPort[]) {
  if (!snat) return { subnet, sources: 'none' } as const;
  const reachesLocalhost = subnet.family === 4 && ports.some(({ host }) => host === undefined || isLoopback(host));
  return { subnet, sources: masqAll ? 'all' : 'subnet', ...(reachesLocalhost && { localhost: '' }) } as const;
}

function portOf({ protocol, hostPort, containerPort, hostIP }: PortMapping): PublishedPort {
  return { protocol, host: hostIP === undefined || isAny(hostIP) ? undefined : hostIP, hostPort, containerPort };
}

/** NB: not ::1. Linux has no route_localnet for IPv6: the reply would find no route back. */
function isLoopback(address: Ip): boolean {
  return address.family === 4 && address.bytes[0] === 127;
}
