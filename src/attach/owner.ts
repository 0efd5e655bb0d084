/**
 * The mark of ownership: which network, container and interface a link or an nft element belongs to. What carries no
 * mark of ours is never deleted (GC), and what carries somebody else's is never taken over.
 */
import type { Attachment, CniCall } from '../cni/call.ts';
import { fnv1a } from '../fnv.ts';

const PREFIX = 'netloom:';
/** NB: does not begin with PREFIX. What has our other marks is ours to remove, and a device never is. */
export const DEVICE_PREFIX = 'netloom-device:';
/**
 * How many more bytes than characters an interface's name may have: five characters of three bytes each. The limits
 * below count characters.
 */
const SLACK = 10;
/** Longest ifalias that the kernel takes (IFALIASZ less the NUL). */
const ALIAS_MAX = 255 - SLACK;
/** Longest comment that nft shows (NFTNL_UDATA_COMMENT_MAXLEN less the NUL). */
const COMMENT_MAX = 127 - SLACK;

/** `network/container/ifname`: names and ids have no slash, so this is unique. */
export function ownerOf(call: CniCall): string {
  return ownerName(call.conf.name, { containerID: call.containerId, ifname: call.ifname });
}

export function ownerName(network: string, { containerID, ifname }: Attachment): string {
  return `${network}/${containerID}/${ifname}`;
}

/**
 * The attachment that a mark names (the alias without its prefix, or the comment); undefined where the mark is only
 * hashes.
 */
export function attachmentIn(mark: string): Attachment | undefined {
  const [, containerID, ifname] = mark.split('/');
  return containerID === undefined || ifname === undefined ? undefined : { containerID, ifname };
}

/** The owners that a runtime still knows, of the call's network. For GC. */
export function validOwners({ conf }: CniCall): string[] {
  return (conf.validAttachments ?? []).map((attachment) => ownerName(conf.name, attachment));
}

/** The alias of a host-side link: `netloom:network/container/ifname`. */
export function aliasOf(owner: string): string {
  return PREFIX + shorten(owner, ALIAS_MAX - PREFIX.length);
}

/** The comment of an nft element. */
export function commentOf(owner: string): string {
  return shorten(owner, COMMENT_MAX);
}

/** Whether an alias is a mark of ours, of whatever owner. */
export function isOurAlias(alias: string | undefined): boolean {
  return alias?.startsWith(PREFIX) ?? false;
}

/** Whether an alias is a mark of ours, of any owner in this network. */
export function isAliasOfNetwork(alias: string | undefined, network: string): boolean {
  return isOurAlias(alias) && isMarkOfNetwork(alias?.slice(PREFIX.length), network);
}

/** The mark in an alias of ours. */
export function markIn(alias: string): string {
  return alias.slice(PREFIX.length);
}

/** An owner's mark where the owner is too long for one. */
export function hashedMark(owner: string): string {
  return `#${fnv1a(owner.slice(0, owner.indexOf('/')))}#${fnv1a(owner)}`;
}

/** Whether a comment is a mark of ours, of any owner in this network. */
export function isCommentOfNetwork(comment: string | undefined, network: string): boolean {
  return isMarkOfNetwork(comment, network);
}

/**
 * The name of a host-side link: a prefix and 11 hexadecimal digits that follow from the owner, so that DEL finds the
 * link without any record, and a second ADD of the same attachment collides with the first one. 44 bits: two of ten
 * thousand links collide on one host in 350,000, and then ADD says so.
 */
export function hostLinkName(prefix: string, owner: string): string {
  return `${prefix}${fnv1a(owner).slice(0, 11)}`;
}

/**
 * An owner that is too long becomes two hashes: one of its network, so that GC can tell, and one of the whole. Names do
 * not begin with `#`.
 */
function shorten(owner: string, max: number): string {
  if (owner.length <= max) return owner;
  return hashedMark(owner);
}

function isMarkOfNetwork(mark: string | undefined, network: string): boolean {
  if (mark === undefined) return false;
  return mark.startsWith('#') ? mark.startsWith(`#${fnv1a(network)}#`) : mark.startsWith(`${network}/`);
}
