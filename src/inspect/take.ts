/**
 * Takes a snapshot of this machine. Only reads: nothing is made or changed, and a namespace is entered no longer than
 * it takes to open a socket.
 */
import { begin } from '../activity.ts';
import { counted } from '../counted.ts';
import { messageOf } from '../error.ts';
import { tryReadText } from '../ffi/file.ts';
import { type EveryNetns, everyNetns, type FoundNetns } from '../netns/every.ts';
import { type Netns, nsfsName, tryOpenNetns } from '../netns/namespace.ts';
import type { Link } from '../rtnl/link.ts';
import * as nsid from '../rtnl/nsid.ts';
import { readNetworks } from '../runtime/conf-directory.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { linkEntry, look, routeEntry, type Seen } from './namespace.ts';
import { commandOf, ownersOf } from './owners.ts';
import type { LinkEntry, NamespaceEntry, Snapshot } from './snapshot.ts';

/** A namespace that is held open while the snapshot is taken, and what was seen in it. */
interface Place {
  readonly found: FoundNetns;
  readonly netns: Netns;
  readonly seen: Seen;
}

/**
 * Kinds whose `link` is the other end of a pair. For other kinds it is the lower link. Both may be in another
 * namespace.
 */
const PAIRED: ReadonlySet<string | undefined> = new Set(['veth', 'netkit', 'vxcan']);

export function take(context: RuntimeContext): Snapshot {
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  begin('looking into every namespace');
  const every = everyNetns();
  const owners = ownersOf(context, warn);
  using open = new DisposableStack();
  const places = every.found.flatMap((found) => placeOf(found, every, open, warn));
  if (every.unreadable > 0) {
    const who = counted(every.unreadable, 'process', 'processes');
    warn(`${who} cannot be looked into: a namespace without other processes is missing`);
  }
  if (places.some(({ seen }) => seen.masquerades === undefined)) {
    warn('the rules of nftables cannot be read: masquerading is not shown');
  }
  const beyond = new Beyond(places);
  const namespaces = places.map((place): NamespaceEntry => {
    const { found, seen } = place;
    const isHost = found.inode === every.own;
    const [first] = found.pids;
    return {
      id: idOf(found),
      isHost,
      names: isHost ? [{ kind: 'host', name: 'host' }] : owners.namesOf(found),
      pins: [...found.pins],
      pids: [...found.pids],
      ...(first !== undefined && !isHost && { command: commandOf(first) }),
      forwards: seen.forwards,
      links: seen.links.map((link) => entryOf(place, link, beyond, owners.attachmentOf(found.inode, link.name))),
      routes: seen.routes.map((route) => routeEntry(route, (index) => linkId(found, index))),
      masquerades: seen.masquerades ?? [],
    };
  });
  if (hasLegacyNat()) warn('iptables-legacy has NAT rules here: masquerading by them is not shown');
  const networks = readNetworks(context.paths.conf).networks.map(({ file, list }) => {
    const bridge = list.plugins[0]?.type === 'bridge' ? (list.plugins[0].conf['bridge'] ?? 'cni0') : undefined;
    return {
      name: list.name,
      driver: list.plugins[0]?.type ?? '',
      file,
      ...(typeof bridge === 'string' && { bridge }),
    };
  });
  // The host first, then by name, so that two snapshots of the same state differ only in the time.
  namespaces.sort((a, b) => Number(b.isHost) - Number(a.isHost) || sortKey(a).localeCompare(sortKey(b)));
  return { format: 1, taken: new Date().toISOString(), namespaces, networks, warnings };
}

/** Opens a namespace by any path that still leads to it, and reads it. */
function placeOf(
  found: FoundNetns,
  { own }: EveryNetns,
  open: DisposableStack,
  warn: (message: string) => void,
): Place[] {
  let reason = 'every way to it has gone';
  const ways =
    found.inode === own
      ? ['/proc/thread-self/ns/net']
      : [...found.pins, ...found.pids.map((pid) => `/proc/${pid}/ns/net`)];
  for (const path of ways) {
    try {
      const netns = tryOpenNetns(path);
      if (netns === undefined) continue;
      open.use(netns);
      // Another mount may cover the pin, or another process may have the number.
      if (nsfsName(netns) !== `net:[${found.inode}]`) continue;
      const seen = look(found.inode === own ? undefined : netns);
      open.use(seen.nl);
      return [{ found, netns, seen }];
    } catch (error) {
      reason = messageOf(error);
    }
  }
  // A namespace that ended while we looked is not reported.
  if (ways.some((path) => isThere(path))) warn(`the namespace ${ways[0]} could not be looked into: ${reason}`);
  return [];
}

function isThere(path: string): boolean {
  try {
    using netns = tryOpenNetns(path);
    return netns !== undefined;
  } catch {
    return false;
  }
}

function entryOf(
  { found, seen }: Place,
  link: Link,
  beyond: Beyond,
  attachment: { readonly network: string; readonly container: string } | undefined,
): LinkEntry {
  const entry = linkEntry(linkId(found, link.index), link, seen.addresses.get(link.index) ?? []);
  const other = link.attrs.link === undefined || link.attrs.link === 0 ? undefined : beyond.of({ found, seen }, link);
  const leadsTo = PAIRED.has(link.kind) ? 'peer' : 'lower';
  const mark = markOf(link.alias) ?? attachment;
  return {
    ...entry,
    ...(link.master !== undefined && link.master !== 0 && { master: linkId(found, link.master) }),
    ...(other !== undefined && (other === 'away' ? { leadsAway: true } : { [leadsTo]: other })),
    ...(mark !== undefined && { network: mark.network, container: mark.container }),
  };
}

/** `netloom:network/container/ifname`, the alias of our links. Those shortened to hashes say nothing here. */
function markOf(alias: string | undefined) {
  if (alias?.startsWith('netloom:') !== true) return undefined;
  const [network, container, ifname] = alias.slice('netloom:'.length).split('/');
  return network === undefined || container === undefined || ifname === undefined ? undefined : { network, container };
}

/**
 * Finds the link at the other end. A link has the index of the other one, and the nsid of the other's namespace in its
 * own (IFLA_LINK_NETNSID). The kernel cannot be asked which namespace an nsid stands for, only which nsid a namespace
 * has. So the likely namespaces are tried first, and the answers kept.
 */
class Beyond {
  /**
   * Namespaces by the index of a link of theirs; and by two indices, of a link of theirs and of the one that it leads
   * to.
   */
  readonly #having: ReadonlyMap<string, readonly Place[]>;
  /** The nsids found, by the inode of the namespace that has them, then of the one that they stand for. */
  readonly #asked = new Map<string, Map<string, number | undefined>>();

  constructor(places: readonly Place[]) {
    const having = new Map<string, Place[]>();
    const put = (key: string, place: Place) => {
      const same = having.get(key);
      if (same === undefined) having.set(key, [place]);
      else same.push(place);
    };
    for (const place of places) {
      for (const { index, attrs } of place.seen.links) {
        put(`${index}`, place);
        put(`${index} ${attrs.link}`, place);
      }
    }
    this.#having = having;
  }

  of(from: Pick<Place, 'found' | 'seen'>, link: Link): string | 'away' {
    const index = link.attrs.link ?? 0;
    const number = link.attrs.linkNetnsid;
    if (number === undefined) return linkId(from.found, index);
    // The ends of a pair refer to each other. A lower link refers to nothing above it.
    const likely = this.#having.get(PAIRED.has(link.kind) ? `${index} ${link.index}` : `${index}`) ?? [];
    const place = likely.find((each) => this.#numberOf(from, each) === number);
    return place === undefined ? 'away' : linkId(place.found, index);
  }

  #numberOf({ found, seen }: Pick<Place, 'found' | 'seen'>, place: Place): number | undefined {
    const known = this.#asked.get(found.inode) ?? new Map<string, number | undefined>();
    this.#asked.set(found.inode, known);
    const { inode } = place.found;
    if (!known.has(inode)) known.set(inode, numberOf(seen, place.netns));
    return known.get(inode);
  }
}

function numberOf(seen: Seen, netns: Netns): number | undefined {
  try {
    return nsid.lookup(seen.nl, netns.fd);
  } catch {
    return undefined;
  }
}

function idOf({ inode }: FoundNetns): string {
  return `n${inode}`;
}

function linkId(found: FoundNetns, index: number): string {
  return `${idOf(found)}-${index}`;
}

function sortKey({ names, id }: NamespaceEntry): string {
  return `${names[0]?.name ?? '~'} ${id}`;
}

/** Whether the legacy iptables has NAT rules, which netlink does not report. */
function hasLegacyNat(): boolean {
  try {
    return (tryReadText('/proc/self/net/ip_tables_names') ?? '').split('\n').includes('nat');
  } catch {
    return false; // Only root may read it.
  }
}
