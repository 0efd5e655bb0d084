/** Who is in an overlay, by the store `file`: this node and the others, whether or not the store can be reached now. */
import { NetloomError } from '../error.ts';
import { writeFault } from '../ffi/access.ts';
import { readText } from '../ffi/file.ts';
import type { Cidr } from '../net/cidr.ts';
import { Ip } from '../net/ip.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Paths } from '../paths.ts';
import * as addr from '../rtnl/addr.ts';
import * as route from '../rtnl/route.ts';
import { join, type NodeRecord, readRecords } from './file-store.ts';
import { machineId, remember, remembered } from './memory.ts';

export interface Membership {
  readonly network: string;
  readonly subnet: Cidr;
  readonly nodePrefix: number;
  /** The directory of the store. */
  readonly path: string;
  /** This node's name; the machine's where it is not given. */
  readonly node?: string | undefined;
  /** The prefix of the underlay that this machine has its address in; otherwise it is the one of the default route. */
  readonly underlay?: Cidr | undefined;
}

export interface Members {
  readonly own: NodeRecord;
  readonly nodes: readonly NodeRecord[];
}

export interface Surroundings {
  readonly paths: Paths;
  warn(message: string): void;
}

/**
 * The members as they are now, or where the store cannot be reached as they last were. An empty directory is one whose mount is missing, where this node was in it before: it
 * must not look as if everybody had left.
 * @param joins whether this node gets a record where it has none, or one with another address
 * @throws NetloomError not-available, name-taken, address-exhausted
 */
export function membersOf(nl: NetlinkSocket, of: Membership, around: Surroundings, joins: boolean): Members {
  const { path } = of;
  const name = nodeName(of);
  const known = remembered(around.paths, of.network);
  const former = known.find((each) => each.name === name);
  let nodes = readRecords(path, (message) => around.warn(message));
  if (former !== undefined && (nodes === undefined || nodes.length === 0)) {
    around.warn(
      `The overlay's store "${path}" is ${nodes === undefined ? 'not there' : 'empty'}: going on with the ${known.length} nodes known last`,
    );
    return { own: former, nodes: fitting(known, former, of, around) };
  }
  if (nodes === undefined) {
    throw new NetloomError('not-available', `The overlay's store "${path}" is not there`, {
      hint: 'mount it, or make the directory',
    });
  }
  let own = nodes.find((each) => each.name === name);
  if (joins) {
    const address = underlayAddress(nl, of);
    const machine = machineId(around.paths);
    const isOurs = own?.machine === machine || own?.machine === '';
    if (own === undefined || !isOurs || !own.address.equals(address)) {
      own = join(path, of.subnet, of.nodePrefix, { name, address, machine, former: former?.subnet });
      nodes = readRecords(path, (message) => around.warn(message)) ?? [];
    }
  }
  if (own === undefined) {
    throw new NetloomError(
      'not-available',
      `This machine, "${name}", is no node of the overlay yet: "${path}" has none of that name`,
      {
        hint: 'it becomes one with its first container',
      },
    );
  }
  remember(around.paths, of.network, nodes);
  return { own, nodes: fitting(nodes, own, of, around) };
}

/** Whether this machine has a record in the store. */
export function isMember(of: Membership): boolean {
  const name = nodeName(of);
  return readRecords(of.path, () => {})?.some((each) => each.name === name) === true;
}

/** Whether this machine could become a node: for STATUS, which changes nothing. @throws NetloomError not-available */
export function requireStore(nl: NetlinkSocket, of: Membership): void {
  underlayAddress(nl, of);
  const fault = writeFault(of.path);
  if (fault !== undefined) throw new NetloomError('not-available', `Cannot join the overlay in "${of.path}": ${fault}`);
}

/** Those that can be peers of this node. A record that cannot be one is said, and the others are kept. */
function fitting(
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
            : undefined;
    if (fault !== undefined) around.warn(`The node "${node.name}" is passed over: ${fault}`);
    return fault === undefined;
  });
}

export function nodeName({ node }: Pick<Membership, 'node'>): string {
  return node ?? readText('/proc/sys/kernel/hostname').trim();
}

/** @throws NetloomError not-available */
function underlayAddress(nl: NetlinkSocket, { underlay }: Membership): Ip {
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
    hint: 'say in "underlay" of which prefix its address is',
  });
}
