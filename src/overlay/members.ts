/**
 * The members of an overlay with the store `file`: this node and the others, whether or not the store can be reached
 * now.
 */
import { messageOf, NetloomError } from '../error.ts';
import { writeFault } from '../ffi/access.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { inOrder, join, readRecords } from './file-store.ts';
import { fitting, type Members, type Membership, nodeName, type Surroundings, underlayAddress } from './membership.ts';
import { machineId, remember, remembered } from './memory.ts';
import type { NodeRecord } from './record.ts';
import { requireMark } from './store-mark.ts';

export interface FileMembership extends Membership {
  /** The directory of the store. */
  readonly path: string;
}

/**
 * The members as they are now, or as they last were where the store cannot be reached. If this node was a member
 * before, an empty directory means that its mount is missing, not that everybody has left.
 * @param joins whether to give this node a record where it has none, or one with another address
 * @throws NetloomError not-available, name-taken, address-exhausted
 */
export function membersOf(nl: NetlinkSocket, of: FileMembership, around: Surroundings, joins: boolean): Members {
  const { path } = of;
  const name = nodeName(of);
  const found = read(path, around);
  let own = found.nodes?.find((each) => each.name === name);
  // NB: thousands of nodes may be remembered, so they are read only where they matter.
  const known = own === undefined ? remembered(around.paths, of.network) : [];
  const former = own ?? known.find((each) => each.name === name);
  if (former !== undefined && (found.fault !== undefined || found.nodes.length === 0)) {
    const fault = found.fault ?? 'is empty';
    around.warn(`The overlay's store "${path}" ${fault}: going on with the ${known.length} nodes known last`);
    return { own: former, nodes: fitting(known, former, of, around) };
  }
  if (found.fault !== undefined) {
    throw new NetloomError('not-available', `The overlay's store "${path}" ${found.fault}`, {
      hint: 'mount it, or create the directory',
    });
  }
  let { nodes } = found;
  if (nodes.length === 0) requireMark(path, of.network);
  if (joins) {
    const address = underlayAddress(nl, of);
    const machine = machineId(around.paths);
    const isOurs = own?.machine === machine || own?.machine === '';
    if (own === undefined || !isOurs || !own.address.equals(address)) {
      own = join(path, of.subnet, of.nodePrefix, { name, address, machine, former: former?.subnet });
      nodes = withOwn(own, nodes, read(path, around).nodes);
    }
  }
  if (own === undefined) {
    throw new NetloomError(
      'not-available',
      `This machine, "${name}", is not a node of the overlay yet: "${path}" has none of that name`,
      {
        hint: 'it joins with its first container',
      },
    );
  }
  remember(around.paths, of.network, nodes);
  return { own, nodes: fitting(nodes, own, of, around) };
}

/** The nodes, or what is wrong with the directory. */
type Found =
  | { readonly nodes: readonly NodeRecord[]; readonly fault?: undefined }
  | { readonly nodes?: undefined; readonly fault: string };

/** NB: a mount that has failed answers in many ways. A node that was a member before treats them all alike. */
function read(path: string, { warn, records }: Surroundings): Found {
  try {
    const nodes = records === undefined ? readRecords(path, warn) : records(warn);
    return nodes === undefined ? { fault: 'is not there' } : { nodes };
  } catch (error) {
    return { fault: `cannot be read: ${messageOf(error)}` };
  }
}

/** The nodes, now that this one has got its record, whatever has become of the directory since. */
function withOwn(
  own: NodeRecord,
  before: readonly NodeRecord[],
  now: readonly NodeRecord[] = [],
): readonly NodeRecord[] {
  if (now.some(({ name }) => name === own.name)) return now;
  const others = before.filter(({ name }) => name !== own.name);
  return inOrder([...others, own]);
}

/** Whether this machine has a record in the store. */
export function isMember(of: FileMembership): boolean {
  const name = nodeName(of);
  return recordsOf(of).some((each) => each.name === name);
}

/** Whether this machine could become a node: for STATUS, which changes nothing. @throws NetloomError not-available */
export function requireStore(nl: NetlinkSocket, of: FileMembership): void {
  underlayAddress(nl, of);
  const fault = writeFault(of.path);
  if (fault !== undefined) throw new NetloomError('not-available', `Cannot join the overlay in "${of.path}": ${fault}`);
  if (recordsOf(of).length === 0) requireMark(of.path, of.network);
}

function recordsOf({ path }: FileMembership): readonly NodeRecord[] {
  return readRecords(path, () => {}) ?? [];
}
