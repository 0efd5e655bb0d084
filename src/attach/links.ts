/** Removing what ADD made, in the kernel's terms: links on the host with our mark, and the container's interface. */
import { hasCode } from '../error.ts';
import { libc } from '../ffi/libc.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as link from '../rtnl/link.ts';
import { gather } from './gather.ts';
import type { ContainerSide } from './namespace.ts';
import { aliasOf, isAliasOfNetwork, isOurAlias, markIn } from './owner.ts';
import { removeIfThere, removeOnHost } from './removal.ts';

/** A group number that nobody uses for anything else: removing a group removes all that is in it. */
const DOOMED_GROUP = 0x6e6c0000;

/**
 * Removes the host's end of an attachment, and with a veth the container's.
 * @returns false where there is none with the owner's mark
 */
export function removeHostLink(nl: NetlinkSocket, name: string, owner: string): boolean {
  const found = link.find(nl, { name });
  if (found?.alias !== aliasOf(owner)) return false;
  return removeOnHost(nl, found.index);
}

/**
 * Removes the container's interface where it is of the kind: the runtime says that it is this attachment, and the
 * reference plugin makes no mark. An interface whose host end has a mark of ours belongs to another attachment, such as
 * one of another network that took the name first.
 */
export function removeContainerLink(
  nl: NetlinkSocket,
  container: ContainerSide,
  ifname: string,
  kind: string,
): boolean {
  const found = link.find(container.nl, { name: ifname });
  if (found?.kind !== kind) return false;
  const end = found.attrs.link === undefined ? undefined : link.find(nl, { index: found.attrs.link });
  if (end?.attrs.link === found.index && isOurAlias(end.alias)) return false;
  return removeIfThere(container.nl, { index: found.index });
}

/**
 * Removes the links of a network that belong to no valid attachment. One removal for the whole group: removed one by
 * one, each link would wait 16 ms for the kernel.
 */
export function removeStaleLinks(nl: NetlinkSocket, network: string, validOwners: readonly string[]): void {
  const stale = staleLinks(nl, network, validOwners);
  if (stale.length === 0) return;
  const group = DOOMED_GROUP | (libc.getpid() & 0xffff);
  const errors = nl.attempt(stale.map(({ index }) => link.set({ index }, { group })));
  const refused = [...errors.values()].filter((error) => !hasCode(error, 'ENODEV'));
  gather(
    () => {
      if (errors.size < stale.length) removeIfThere(nl, { group });
    },
    ...refused.map((error) => () => {
      throw error;
    }),
  );
}

/** The marks of the stale links that are still there. */
export function staleLinkMarks(nl: NetlinkSocket, network: string, validOwners: readonly string[]): string[] {
  return staleLinks(nl, network, validOwners).map(({ alias = '' }) => markIn(alias));
}

function staleLinks(nl: NetlinkSocket, network: string, validOwners: readonly string[]): link.Link[] {
  const valid = new Set(validOwners.map(aliasOf));
  return link.list(nl).filter(({ alias }) => isAliasOfNetwork(alias, network) && !valid.has(alias ?? ''));
}
