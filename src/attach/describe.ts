/** Describes a namespace as a result, for the modes that make nothing themselves. */
import type { CniResult } from '../cni/result.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as addr from '../rtnl/addr.ts';
import * as link from '../rtnl/link.ts';
import { RT_SCOPE } from '../rtnl/route.ts';

/**
 * The interfaces and addresses of a namespace, without `lo` and without addresses that serve only a link: runtimes take
 * the first address of a result for the container's own.
 * @param nl a socket in that namespace
 * @param sandbox its path, or undefined for the host's
 */
export function describeNamespace(nl: NetlinkSocket, sandbox: string | undefined): CniResult {
  const links = link.list(nl).filter(({ name }) => name !== 'lo');
  const interfaces = links.map(({ name, mac, mtu }) => ({
    name,
    ...(mac !== undefined && { mac }),
    mtu,
    ...(sandbox !== undefined && { sandbox }),
  }));
  const ips = addr
    .list(nl)
    // An address of the link's scope, or of a narrower one, is of no use elsewhere.
    .filter(({ scope }) => scope < RT_SCOPE.LINK)
    .map(({ address, link: index }) => ({ address, interface: links.findIndex((each) => each.index === index) }))
    .filter((ip) => ip.interface >= 0);
  return { interfaces, ips };
}
