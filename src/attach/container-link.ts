/**
 * A link that is in the container only, with nothing on the host: macvlan, ipvlan, vlan, dummy, tap.
 *
 * Its mark of ownership is the alias, as with links on the host. The kernel takes no alias in the message that makes a
 * link. This link is made through a socket of one namespace and marked through one of another, so both messages cannot
 * go in one datagram. Therefore the link is made under a name that follows from its owner, and one second message gives
 * it the name that was asked for and the alias: at any moment a link of ours shows whose it is. The temporary name is
 * needed anyway: kernels before 6.15 look for the new link's name among those of the namespace that the message comes
 * from, so that the container's eth0 could not be made on a host that has an eth0.
 */
import type { CniCall, NetConf } from '../cni/call.ts';
import { hasCode, NetloomError } from '../error.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as link from '../rtnl/link.ts';
import type { LinkInfo } from '../rtnl/link-info.ts';
import { gather } from './gather.ts';
import { isUnknownKind, lackOf } from './kind.ts';
import { type ContainerSide, tryOpenContainer } from './namespace.ts';
import { aliasOf, hostLinkName, isOurAlias, ownerOf } from './owner.ts';
import { removeIfThere } from './removal.ts';

/** What a link in the container is made of. */
export interface LinkPlan {
  /** Where the message is sent from: a socket of the namespace that the master is in. */
  readonly from: NetlinkSocket;
  /** Without a name. `link` is the master. */
  readonly attrs: link.LinkAttrs & { readonly linkinfo: LinkInfo };
  /** What an errno means for this kind: the rest of the sentence after `Cannot create …: `. */
  readonly refusals?: Readonly<Record<string, string>>;
}

/** The name of a link before it has the one that was asked for. */
export function temporaryName(owner: string): string {
  return hostLinkName('new-', owner);
}

/**
 * Makes the link in the container with its name and its mark, not yet up.
 * @throws NetloomError unsupported where this kernel lacks the kind, conflict, duplicate-attachment
 */
export function addContainerLink(
  container: ContainerSide,
  call: CniCall,
  plan: LinkPlan,
  undo: DisposableStack,
): link.Link {
  const name = temporaryName(ownerOf(call));
  return adoptLink(container, call, {}, undo, () => {
    const there = plan.from === container.nl ? {} : { netnsFd: container.netns.fd };
    const errors = plan.from.attempt([link.add({ name, ...plan.attrs, ...there })]);
    for (const error of errors.values()) throw explained(error, container, call, plan);
  });
}

/**
 * Makes a link under its temporary name, then gives it its name and its mark.
 * @param more other attributes that are set in the same message
 * @param make makes the link
 */
export function adoptLink(
  container: ContainerSide,
  call: CniCall,
  more: link.LinkAttrs,
  undo: DisposableStack,
  make: () => void,
): link.Link {
  const owner = ownerOf(call);
  let ref: link.LinkRef | undefined = { name: temporaryName(owner) };
  // NB: before the message goes out. Where its answer is lost, the link may be there all the same.
  undo.defer(() => {
    const found = ref && link.find(container.nl, ref);
    if (found !== undefined) container.nl.attempt([link.remove({ index: found.index })]);
  });
  try {
    make();
  } catch (error) {
    // The kernel refused, or another call is making this link: we have made nothing.
    if (error instanceof NetlinkError || hasCode(error, ...REFUSED)) ref = undefined;
    throw error;
  }
  const made = link.get(container.nl, ref);
  ref = { index: made.index };
  container.nl.execute(link.set(ref, { name: call.ifname, alias: aliasOf(owner), ...more }));
  return { ...made, name: call.ifname };
}

/** The codes of an error of `make` that mean that no link was made. */
const REFUSED = ['unsupported', 'conflict', 'duplicate-attachment'] as const;

/** The kernel's refusal in the words of the field. */
function explained(error: NetlinkError, container: ContainerSide, call: CniCall, plan: LinkPlan): NetloomError {
  const { kind } = plan.attrs.linkinfo;
  const cannot = `Cannot create the ${kind} link "${call.ifname}"`;
  if (isUnknownKind(error)) return new NetloomError('unsupported', `${cannot}: ${lackOf(kind)}`, { cause: error });
  if (error.code === 'EEXIST' && link.find(container.nl, { name: temporaryName(ownerOf(call)) }) !== undefined) {
    return new NetloomError('duplicate-attachment', `${cannot}: an ADD of it is under way, or was cut short`, {
      hint: 'call DEL first',
      cause: error,
    });
  }
  const refusal = plan.refusals?.[error.code];
  return refusal === undefined ? error : new NetloomError('conflict', `${cannot}: ${refusal}`, { cause: error });
}

/**
 * Removes the attachment's link where the namespace is still there; otherwise the kernel has removed it with the
 * namespace. It goes by the mark, so that a link of somebody else's stays, whatever its name. Links of the reference
 * plugins have no mark: there, prevResult tells the link by its name and MAC.
 */
export function removeContainerLinks(call: CniCall<NetConf>, kind: string): void {
  using container = tryOpenContainer(call);
  if (container === undefined) return;
  const { nl } = container;
  const owner = ownerOf(call);
  const known = call.conf.prevResult?.interfaces ?? [];
  const isOwn = ({ name, alias, mac }: link.Link) =>
    name === temporaryName(owner) ||
    alias === aliasOf(owner) ||
    (name === call.ifname &&
      !isOurAlias(alias) &&
      known.some((each) => each.name === name && each.sandbox && each.mac?.toLowerCase() === mac));
  const own = link.list(nl).filter((each) => each.kind === kind && isOwn(each));
  gather(
    ...own.map(
      ({ index }) =>
        () =>
          removeIfThere(nl, { index }),
    ),
  );
}
