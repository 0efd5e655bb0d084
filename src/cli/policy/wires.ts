/** The endpoints with a wire on this host, from the aliases of their links. */
import { attachmentIn, isOurAlias, markIn, ownerName } from '../../attach/owner.ts';
import { hostEndName } from '../../attach/wire.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as link from '../../rtnl/link.ts';

/** An id as engines shorten it, or a longer part of it. */
const SHORT_ID = /^[0-9a-f]{12,63}$/;

/** Their owners, `network/container/ifname`, without those that are too long for an alias. */
export function wiredOwners(nl: NetlinkSocket): string[] {
  return link
    .list(nl)
    .filter(({ kind, alias }) => kind === 'veth' && isOurAlias(alias))
    .map(({ alias = '' }) => markIn(alias))
    .filter((mark) => attachmentIn(mark) !== undefined);
}

/**
 * The owner that a person means, by the full id of the container or a shortened one.
 * @returns undefined where none or several match
 */
export function wiredOwner(nl: NetlinkSocket, owner: string): string | undefined {
  if (link.find(nl, { name: hostEndName(owner) }) !== undefined) return owner;
  const { containerID: short = '', ifname = '' } = attachmentIn(owner) ?? {};
  if (!SHORT_ID.test(short)) return undefined;
  const meant = wiredOwners(nl).filter((each) => {
    const its = attachmentIn(each);
    return (
      its?.containerID.startsWith(short) === true && ownerName(networkOf(owner), its) === each && its.ifname === ifname
    );
  });
  return meant.length === 1 ? meant[0] : undefined;
}

export function networkOf(owner: string): string {
  return owner.slice(0, owner.indexOf('/'));
}
