/** Removing a link, and waiting until it is gone. */
import { hasCode } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as link from '../rtnl/link.ts';

/** Removes a link of the host by its index. @returns false where there is none */
export type HostRemoval = (nl: NetlinkSocket, index: number) => boolean;

/**
 * NB: of the thread. The process of a single call waits for the kernel; a thread of the agent has a quicker way, which
 * leaves the waiting to another thread.
 */
let hostRemoval: HostRemoval = (nl, index) => removeIfThere(nl, { index });

/** From here on, this thread removes links of the host in another way. */
export function removeOnHostBy(other: HostRemoval): void {
  hostRemoval = other;
}

export function removeOnHost(nl: NetlinkSocket, index: number): boolean {
  return hostRemoval(nl, index);
}

/** Removes a link, and returns when the kernel has finished, 16 ms later. @returns false where there is none */
export function removeIfThere(nl: NetlinkSocket, ref: Parameters<typeof link.remove>[0]): boolean {
  try {
    nl.execute(link.remove(ref));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENODEV')) return false;
    throw error;
  }
}
