/** Who is in an overlay, by the store `file`: this node and the others, whether or not the store can be reached now. */
import { NetloomError } from '../error.ts';
import { writeFault } from '../ffi/access.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { join, readRecords } from './file-store.ts';
import { fitting, type Members, type Membership, nodeName, type Surroundings, underlayAddress } from './membership.ts';
import { machineId, remember, remembered } from './memory.ts';

export interface FileMembership extends Membership {
  /** The directory of the store. */
  readonly path: string;
}

/**
 * The members as they are now, or where the store cannot be reached as they last were. An empty directory is one whose mount is missing, where this node was in it before: it
 * must not look as if everybody had left.
 * @param joins whether this node gets a record where it has none, or one with another address
 * @throws NetloomError not-available, name-taken, address-exhausted
 */
export function membersOf(nl: NetlinkSocket, of: FileMembership, around: Surroundings, joins: boolean): Members {
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
export function isMember(of: FileMembership): boolean {
  const name = nodeName(of);
  return readRecords(of.path, () => {})?.some((each) => each.name === name) === true;
}

/** Whether this machine could become a node: for STATUS, which changes nothing. @throws NetloomError not-available */
export function requireStore(nl: NetlinkSocket, of: FileMembership): void {
  underlayAddress(nl, of);
  const fault = writeFault(of.path);
  if (fault !== undefined) throw new NetloomError('not-available', `Cannot join the overlay in "${of.path}": ${fault}`);
}
