/**
 * Publishing ports of containers on the host. layout.ts describes the objects, masquerading.ts whose connections are
 * masqueraded.
 *
 * An endpoint is a group of elements, which one batch adds and one removes. Each port is an element of its own:
 * nftables can translate a range of ports in one element only if the numbers stay the same, and an element costs less
 * than it would cost to find that out.
 */
import { hasCode, NetloomError } from '../../error.ts';
import { FAMILIES, type Family, Ip } from '../../net/ip.ts';
import { NetlinkError } from '../../netlink/error.ts';
import type { Request } from '../../netlink/message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { commit } from '../batch.ts';
import * as chain from '../chain.ts';
import * as element from '../element.ts';
import { unsupportedMeans } from '../feature.ts';
import * as generation from '../generation.ts';
import { addressTaken, networkOf } from '../holder.ts';
import { hasLayout, netloomTable, removeIfUnused, withRetries } from '../netloom-table.ts';
import type { Conditions } from './conditional.ts';
import * as conditional from './conditional.ts';
import {
  type AddressKey,
  dismantle,
  isAny,
  type Layout,
  layoutRequests,
  layouts,
  type PortKey,
  portOf,
  type Target,
} from './layout.ts';
import { chainOf, chainRequests, isShared, isUnused, type Masquerading } from './masquerading.ts';
import { type Owned, ownedBy, ownerEntries, ownerKeys } from './owner-index.ts';

/** A port of the host that leads to one of the container. */
export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** One address of the host; undefined means any. */
  readonly host: Ip | undefined;
  readonly hostPort: number;
  readonly containerPort: number;
}

/** What an endpoint publishes by one of its addresses. */
export interface Publication {
  readonly container: Ip;
  readonly ports: readonly PublishedPort[];
  readonly masquerading: Masquerading;
  /** Which connections it is for; if missing, all. */
  readonly conditions?: Conditions | undefined;
  /** The holder: `network/container/ifname`. */
  readonly comment: string;
}

/** Ports that led to a container and no longer do. */
export interface Withdrawn {
  readonly container: Ip;
  readonly ports: readonly AddressKey[];
}

/**
 * Publishes all of it, or nothing. What the same owner published before is removed in the same batch.
 * @throws NetloomError port-in-use, or EEXIST if another network has the container's address; with the holder's name
 */
export function publish(nft: NetlinkSocket, publications: readonly Publication[]): void {
  withRetries('publish ports', () => {
    const requests = plan(nft, publications);
    const makesAll = requests.some(({ kind }) => kind.name === 'table');
    try {
      commit(nft, requests);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) refuseTaken(nft, publications);
      throw (makesAll && error instanceof NetlinkError && unsupportedMeans(error)) || error;
    }
  });
}

/** The requests of publish(), as one batch. */
export function plan(nft: NetlinkSocket, publications: readonly Publication[]): Request[] {
  const made = new Set<string>();
  return publications.flatMap((publication) => {
    const { container, masquerading, conditions, comment } = publication;
    const layout = layouts[container.family];
    const isNew = !hasLayout(nft, layout.base);
    const lacks = (wanted: chain.Chain) => {
      const isMade = made.has(wanted.name);
      made.add(wanted.name);
      return !isMade && (isNew || chain.get(nft, wanted) === undefined);
    };
    return [
      ...(isNew ? layoutRequests(layout) : []),
      ...(isNew ? [] : formerRequests(nft, layout, publication)),
      ...(lacks(chainOf(masquerading)) ? chainRequests(masquerading) : []),
      ...elementRequests(layout, publication),
      ...(conditions === undefined
        ? []
        : conditional.requests(layout, conditions, keysOf(publication), comment, lacks)),
    ];
  });
}

/**
 * Withdraws what an owner has published.
 * @returns what was withdrawn, one for each family
 */
export function withdraw(nft: NetlinkSocket, comment: string): Withdrawn[] {
  let withdrawn: Withdrawn[] = [];
  withRetries('withdraw ports', () => {
    withdrawn = [];
    const requests: Request[] = [];
    const seen = generation.get(nft);
    let dependsOnOthers = false;
    for (const layout of present(nft)) {
      const owned = ownedBy(nft, layout, comment);
      if (owned === undefined) continue;
      withdrawn.push(owned);
      requests.push(...removalRequests(nft, layout, comment, owned));
      dependsOnOthers ||= owned.ports.some(([host]) => !isAny(host));
    }
    // The requests depend on whether somebody else has the same port on another address. That must still hold.
    if (requests.length > 0) commit(nft, requests, dependsOnOthers ? { generation: seen } : {});
  });
  return withdrawn;
}

/**
 * Removes the chains that nobody jumps to any more; with the last of them all objects of port mapping, and the table if
 * nothing is left in it.
 * @param before called with a chain's comment before the chain is removed
 * @param kept called after that if the chain is in use again and stays
 */
export function sweep(
  nft: NetlinkSocket,
  before: (comment: string) => void = () => {},
  kept: (comment: string) => void = () => {},
): void {
  if (!isInUse(nft)) return;
  for (const { name, comment = '' } of sharedChains(nft).filter(isUnused)) {
    before(comment);
    try {
      commit(nft, [chain.remove({ table: netloomTable, name })]);
    } catch (error) {
      if (hasCode(error, 'EBUSY')) kept(comment);
      else if (!hasCode(error, 'ENOENT')) throw error;
    }
  }
  withRetries('remove what nobody needs', () => {
    // What was read must still hold: nobody publishes.
    const seen = generation.get(nft);
    if (sharedChains(nft).length > 0) return;
    // NB: the table first. If the process is killed after this, the base chains are left, and the next call goes on.
    if (removeIfUnused(nft)) return;
    const requests = present(nft).flatMap((layout) => [...conditional.dismantle(nft, layout), ...dismantle(layout)]);
    try {
      if (requests.length > 0) commit(nft, requests, { generation: seen });
    } catch (error) {
      // EBUSY: somebody's own rule jumps to a chain of ours or looks into a set. Then everything stays.
      if (!hasCode(error, 'EBUSY')) throw error;
    }
  });
}

function sharedChains(nft: NetlinkSocket): chain.ChainState[] {
  return chain.list(nft, netloomTable).filter(isShared);
}

/** The comments of all that publish, for GC. */
export function owners(nft: NetlinkSocket): string[] {
  const comments = present(nft).flatMap(({ masq }) => element.list(nft, masq).map(({ comment = '' }) => comment));
  return [...new Set(comments)];
}

/** Which ports of a publication are missing or lead elsewhere, for CHECK. */
export function missing(nft: NetlinkSocket, publication: Publication): PublishedPort[] {
  const { container, ports, masquerading, conditions, comment } = publication;
  const layout = layouts[container.family];
  if (chain.get(nft, layout.base) === undefined) return [...ports];
  const jump = element.get(nft, layout.masq, container);
  const isReached =
    jump?.comment === comment &&
    typeof jump.data === 'object' &&
    'jump' in jump.data &&
    jump.data.jump === chainOf(masquerading).name;
  return ports.filter((port) => {
    const found = holder(nft, layout, keyOf(port, layout.family));
    const isTarget = found?.data?.[0].equals(container) === true && found.data[1] === port.containerPort;
    const isPublished = element.get(nft, layout.published, [port.protocol, port.hostPort]) !== undefined;
    const isConditional = conditional.has(nft, layout, keyOf(port, layout.family), conditions);
    return !isReached || !isConditional || !isPublished || !isTarget || found.comment !== comment;
  });
}

/** Whether anybody publishes anything. */
export function isInUse(nft: NetlinkSocket): boolean {
  return present(nft).length > 0;
}

/** The layouts of the families that are in use. */
function present(nft: NetlinkSocket): Layout[] {
  return FAMILIES.map((family) => layouts[family]).filter(({ base }) => chain.get(nft, base) !== undefined);
}

/**
 * The requests that must go first. They remove what the owner published before, and what an earlier container with the
 * same address published. That container is gone without a DEL, since its address was given out again. This is so only
 * within one network: if subnets overlap, the container of another network may be alive.
 * @throws NetloomError EEXIST if another network has the address
 */
function formerRequests(nft: NetlinkSocket, layout: Layout, { container, comment }: Publication): Request[] {
  const found = element.get(nft, layout.masq, container);
  if (found !== undefined && networkOf(found.comment) !== networkOf(comment))
    throw addressTaken(`publish ports of ${container} for "${comment}"`, found.comment);
  const holder = found?.comment ?? comment;
  return [...new Set([comment, holder])].flatMap((owner) => {
    const owned = ownedBy(nft, layout, owner);
    return owned === undefined ? [] : removalRequests(nft, layout, owner, owned);
  });
}

function elementRequests(layout: Layout, publication: Publication): Request[] {
  const { container, ports, masquerading, comment } = publication;
  const { published, anywhere, at, masq, owner, family } = layout;
  const ofAny = ports.filter(({ host }) => host === undefined);
  const ofOne = ports.filter(({ host }) => host !== undefined);
  const portKey = ({ protocol, hostPort }: PublishedPort): PortKey => [protocol, hostPort];
  const data = ({ containerPort }: PublishedPort): Target => [container, containerPort];
  return [
    // On one address: the port may be published on another address already, but not on all of them. An element that is
    // created and removed in the same batch makes sure of that: the kernel refuses it if there is one already.
    ...element.createAll(
      anywhere,
      ofOne.map((port) => ({ key: portKey(port), data: data(port) })),
    ),
    ...element.removeAll(anywhere, ofOne.map(portKey)),
    ...element.addAll(
      published,
      ofOne.map((port) => ({ key: portKey(port) })),
    ),
    ...element.createAll(
      at,
      ofOne.map((port) => ({ key: keyOf(port, family), data: data(port), comment })),
    ),
    ...element.createAll(
      published,
      ofAny.map((port) => ({ key: portKey(port) })),
    ),
    ...element.createAll(
      anywhere,
      ofAny.map((port) => ({ key: portKey(port), data: data(port), comment })),
    ),
    element.create(masq, { key: container, data: { jump: chainOf(masquerading).name }, comment }),
    ...element.createAll(owner, ownerEntries(comment, container, keysOf(publication))),
  ];
}

function removalRequests(
  nft: NetlinkSocket,
  layout: Layout,
  comment: string,
  { container, ports, entries }: Owned,
): Request[] {
  const { published, anywhere, at, masq, owner } = layout;
  const own = ports.filter((key) => holder(nft, layout, key)?.comment === comment);
  const ofAny = own.filter(([host]) => isAny(host)).map(portOf);
  const ofOne = own.filter(([host]) => !isAny(host));
  const isLast = ofOne.length === 0 ? () => true : lastOf(nft, layout, ofOne);
  const hasMasq = element.get(nft, masq, container)?.comment === comment;
  return [
    ...element.removeAll(anywhere, ofAny),
    ...element.removeAll(at, ofOne),
    ...element.removeAll(published, [...ofAny, ...unique(ofOne.map(portOf)).filter(isLast)]),
    ...(hasMasq ? [element.remove(masq, container)] : []),
    ...element.removeAll(owner, ownerKeys(comment, entries)),
    ...conditional.removals(nft, layout, ports, comment),
  ];
}

/**
 * Whether nobody else publishes a port on another address. It reads all ports that are published on one address; most
 * are published on any.
 */
function lastOf(nft: NetlinkSocket, { at }: Layout, leaving: readonly AddressKey[]): (port: PortKey) => boolean {
  const isLeaving = new Set(leaving.map(textOf));
  const staying = element.list(nft, at).filter(({ key }) => !isLeaving.has(textOf(key)));
  const ports = new Set(staying.map(({ key }) => String(portOf(key))));
  return (port) => !ports.has(String(port));
}

/**
 * Finds who has a port that was refused.
 * @throws NetloomError port-in-use; returns if nobody has it (any more)
 */
function refuseTaken(nft: NetlinkSocket, publications: readonly Publication[]): void {
  for (const { container, ports, comment } of publications) {
    const layout = layouts[container.family];
    if (chain.get(nft, layout.base) === undefined) continue;
    for (const port of ports) {
      const key = keyOf(port, layout.family);
      if (element.get(nft, layout.published, portOf(key)) === undefined) continue;
      const found = conflicting(nft, layout, key);
      if (found === undefined || found.comment === comment) continue;
      throw new NetloomError(
        'port-in-use',
        `Cannot publish the port ${portText(key)}: "${found.comment ?? 'unknown'}" has it${found.where} (network/container/interface)`,
        { hint: 'choose another "hostPort", or remove that container' },
      );
    }
  }
}

/**
 * Who has a port that conflicts: the same port on the same address or on any; for a port on any address, the same port
 * on whichever address.
 */
function conflicting(
  nft: NetlinkSocket,
  layout: Layout,
  key: AddressKey,
): { readonly comment: string | undefined; readonly where: string } | undefined {
  const [host] = key;
  const port = portOf(key);
  const general = element.get(nft, layout.anywhere, port);
  if (general !== undefined) return { comment: general.comment, where: isAny(host) ? '' : ' on every address' };
  if (!isAny(host)) {
    const same = element.get(nft, layout.at, key);
    return same && { comment: same.comment, where: '' };
  }
  const other = element.list(nft, layout.at).find((each) => String(portOf(each.key)) === String(port));
  return other && { comment: other.comment, where: ` on ${other.key[0]}` };
}

function holder(nft: NetlinkSocket, { anywhere, at }: Layout, key: AddressKey) {
  return isAny(key[0]) ? element.get(nft, anywhere, portOf(key)) : element.get(nft, at, key);
}

function keyOf({ protocol, host, hostPort }: PublishedPort, family: Family): AddressKey {
  return [host ?? Ip.unspecified(family), protocol, hostPort];
}

function keysOf({ container, ports }: Publication): AddressKey[] {
  return ports.map((port) => keyOf(port, container.family));
}

/** `tcp 192.0.2.1:80`, `tcp [::]:80` */
function portText([host, protocol, port]: AddressKey): string {
  return `${protocol} ${host.family === 6 ? `[${host}]` : host}:${port}`;
}

function textOf(key: AddressKey): string {
  return key.join(' ');
}

function unique(ports: readonly PortKey[]): PortKey[] {
  return [...new Map(ports.map((port) => [String(port), port])).values()];
}
