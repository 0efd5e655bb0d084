/** What a node needs to be in an overlay, with any store. */
import { NetloomError } from '../error.ts';
import { readText } from '../ffi/file.ts';
import type { Cidr } from '../net/cidr.ts';
import { Ip } from '../net/ip.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Paths } from '../paths.ts';
import * as addr from '../rtnl/addr.ts';
import * as route from '../rtnl/route.ts';
import type { NodeRecord } from './record.ts';

/** How a machine is configured to be in an overlay. */
export interface Membership {
  readonly network: string;
  readonly subnet: Cidr;
  readonly nodePrefix: number;
  /** This node's name; the hostname where none is given. */
  readonly node?: string | undefined;
  /**
   * The prefix of the underlay in which this machine has its address; otherwise the address is the source of the
   * default route.
   */
  readonly underlay?: Cidr | undefined;
}

export interface Members {
  readonly own: NodeRecord;
  readonly nodes: readonly NodeRecord[];
}

export interface Surroundings {
  readonly paths: Paths;
  warn(message: string): void;
  /** The records of the store, where the caller has read them before (feed.ts). */
  records?(warn: (message: string) => void): NodeRecord[] | undefined;
}

/**
 * The nodes that can be peers of this node. Warns of the others, and leaves them out. NB: another record with this
 * node's address is from a machine that had the address before, and is down. What a tunnel sends to its own address
 * comes back out of it, and on one layer 2 containers would be learned where they are not.
 */
export function fitting(
  nodes: readonly NodeRecord[],
  own: NodeRecord,
  { subnet }: Membership,
  around: Surroundings,
): NodeRecord[] {
  return nodes.filter((node, i) => {
    const before = nodes[i - 1];
    const fault =
      node.subnet.family !== subnet.family || node.subnet.prefix < subnet.prefix || !subnet.contains(node.subnet.ip)
        ? `its prefix ${node.subnet} is no part of ${subnet}`
        : before?.subnet.overlaps(node.subnet) === true
          ? `its prefix ${node.subnet} overlaps with that of "${before.name}"`
          : node.address.family !== own.address.family
            ? `its address ${node.address} is not of IPv${own.address.family}, as this node's`
            : node.name !== own.name && node.address.equals(own.address)
              ? `its address ${node.address} is this node's, "${own.name}"`
              : undefined;
    if (fault !== undefined) around.warn(`The node "${node.name}" is passed over: ${fault}`);
    return fault === undefined;
  });
}

/** The name of this node; the hostname where none is given. */
export function nodeName({ node }: Pick<Membership, 'node'>): string {
  return node ?? readText('/proc/sys/kernel/hostname').trim();
}

/** The address that this machine has on the underlay. @throws NetloomError not-available */
export function underlayAddress(nl: NetlinkSocket, { underlay }: Membership): Ip {
  if (underlay !== undefined) {
    const found = addr.list(nl, { family: underlay.family }).find(({ address }) => underlay.contains(address.ip));
    if (found !== undefined) return found.address.ip;
    throw new NetloomError('not-available', `This machine has no address of the underlay, ${underlay}`);
  }
  for (const outside of ['192.0.2.0', '2001:db8::']) {
    const src = route.lookup(nl, Ip.parse(outside))?.src;
    if (src !== undefined) return src;
  }
  throw new NetloomError('not-available', 'This machine has no default route, and so no address for the overlay', {
    hint: 'set "underlay" to the prefix that its address is in',
  });
}
