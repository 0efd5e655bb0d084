/**
 * Moving a device in and out. The record of the attachment has the device's old name, its old alias and its index in
 * the container, because the container may change its name and alias. While the device is away, its alias has the same
 * name and alias: it is the mark for finding the device without the record, or before the record has the index. DEL
 * looks for it in the container. DEL and GC look for it on the host, where the kernel puts hardware when its namespace
 * dies, under any name that is free there. Virtual links (a veth, a macvlan) die with their namespace: nothing can
 * bring them back.
 *
 * The mark is set before the device moves, in the same datagram. So a device in a container always has a mark by which
 * it can be brought home.
 */
import { gather } from '../../attach/gather.ts';
import { commentOf, DEVICE_PREFIX, isCommentOfNetwork } from '../../attach/owner.ts';
import type { MovedDevice } from '../../attach/record.ts';
import { hasCode, NetloomError } from '../../error.ts';
import { ifnameFault } from '../../net/ifname.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { Netns } from '../../netns/namespace.ts';
import * as link from '../../rtnl/link.ts';

/** Longest ifalias that the kernel takes, in bytes (IFALIASZ less the NUL). */
const ALIAS_MAX = 255;

/** What a device was before it was moved. */
export interface Mark {
  /** The owner, as in the comment of an nft element. */
  readonly owner: string;
  readonly name: string;
  /** Empty if it had none. */
  readonly alias: string;
}

/**
 * `netloom-device:network/container/ifname eth7 the alias that it had`. An alias that does not fit in is only in the
 * record.
 */
function textOf({ owner, name, alias }: Mark): string {
  const short = `${DEVICE_PREFIX}${owner} ${name}`;
  const whole = alias === '' ? short : `${short} ${alias}`;
  return new TextEncoder().encode(whole).length > ALIAS_MAX ? short : whole;
}

/** Reads a mark. A container can write anything there, so a mark without a valid name does not count. */
export function markOf(alias: string | undefined): Mark | undefined {
  if (alias === undefined || !alias.startsWith(DEVICE_PREFIX)) return undefined;
  const [owner = '', name = '', ...rest] = alias.slice(DEVICE_PREFIX.length).split(' ');
  return owner === '' || ifnameFault(name) !== undefined ? undefined : { owner, name, alias: rest.join(' ') };
}

/** Moves a device into a namespace, with its new name and a mark. It is down then: the kernel closes what it moves. */
export function moveIn(nl: NetlinkSocket, device: link.Link, owner: string, to: Netns, ifname: string): void {
  const mark = { owner: commentOf(owner), name: device.name, alias: device.alias ?? '' };
  const ref = { index: device.index };
  nl.executeAll([link.set(ref, { alias: textOf(mark) }), link.set(ref, { name: ifname, netnsFd: to.fd })]);
}

/**
 * Moves the owner's device out of a container.
 * @param was the device in the record; without it, or without its index, the mark decides
 * NB: a container may give links of its own the same mark, so the name counts, too. A link with another name counts
 * only if it is hardware, which no container can make.
 */
export function moveOut(
  nl: NetlinkSocket,
  owner: string,
  ifname: string,
  home: Netns,
  was: MovedDevice | undefined,
): void {
  const recorded = was?.index === undefined ? undefined : link.find(nl, { index: was.index });
  if (was !== undefined && recorded !== undefined && recorded.kind === was.kind) {
    giveBack(nl, recorded, was, home);
    return;
  }
  const own = marked(nl, isOwner(owner));
  const named = was?.index === undefined ? own.find(([{ name }]) => name === ifname) : undefined;
  const [device, mark] = named ?? own.find(([{ kind }]) => kind === undefined) ?? [];
  if (device !== undefined && mark !== undefined) giveBack(nl, device, was ?? mark, home);
}

/** Gives devices that are back on the host their old names. */
export function rename(nl: NetlinkSocket, isMeant: (mark: Mark) => boolean): void {
  gather(
    ...marked(nl, isMeant).map(
      ([device, mark]) =>
        () =>
          giveBack(nl, device, mark),
    ),
  );
}

function marked(nl: NetlinkSocket, isMeant: (mark: Mark) => boolean): (readonly [link.Link, Mark])[] {
  return link.list(nl).flatMap((device) => {
    const mark = markOf(device.alias);
    return mark !== undefined && isMeant(mark) ? [[device, mark] as const] : [];
  });
}

/**
 * @throws NetloomError conflict if the host has another interface of the old name by now; the device stays where it is
 */
export function giveBack(
  nl: NetlinkSocket,
  device: link.Link,
  { name, alias }: Pick<Mark, 'name' | 'alias'>,
  home?: Netns,
): void {
  const isNamed = home === undefined && device.name === name;
  try {
    nl.execute(
      link.set(
        { index: device.index },
        { ...(!isNamed && { name }), alias, ...(home !== undefined && { netnsFd: home.fd }) },
      ),
    );
  } catch (error) {
    if (hasCode(error, 'ENODEV')) return;
    if (!hasCode(error, 'EEXIST')) throw error;
    throw new NetloomError(
      'conflict',
      `Cannot give "${device.name}" its old name "${name}" back: the host has another interface of that name`,
      { hint: `rename that interface, then call DEL again`, cause: error },
    );
  }
}

export function isOwner(owner: string): (mark: Mark) => boolean {
  const comment = commentOf(owner);
  return (mark) => mark.owner === comment;
}

/** Whether a device belongs to an attachment of the network that the runtime no longer knows. */
export function isStale(network: string, validOwners: readonly string[]): (mark: Mark) => boolean {
  const valid = new Set(validOwners.map(commentOf));
  return ({ owner }) => isCommentOfNetwork(owner, network) && !valid.has(owner);
}
