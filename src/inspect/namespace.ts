/** Reads one namespace: its links, addresses and routes, through a socket that was opened inside. */
import { hasCode } from '../error.ts';
import type { Cidr } from '../net/cidr.ts';
import { FAMILIES } from '../net/ip.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Netns } from '../netns/namespace.ts';
import { withNetns } from '../netns/within.ts';
import { list as masqueradeList } from '../nft/masquerade.ts';
import { masqueraded } from '../nft/masqueraded.ts';
import { tryOpenNft } from '../nft/socket.ts';
import * as addr from '../rtnl/addr.ts';
import { ARPHRD, IFF } from '../rtnl/constants.ts';
import * as link from '../rtnl/link.ts';
import { isForwarding } from '../rtnl/netconf.ts';
import * as route from '../rtnl/route.ts';
import { openRoute } from '../rtnl/socket.ts';
import type { LinkEntry, NamespaceEntry, RouteEntry } from './snapshot.ts';

/** What was read, and the socket, for queries about the namespaces that the links lead to. */
export interface Seen {
  readonly nl: NetlinkSocket;
  readonly links: readonly link.Link[];
  readonly addresses: ReadonlyMap<number, readonly addr.Address[]>;
  readonly routes: readonly route.Route[];
  readonly forwards: NamespaceEntry['forwards'];
  /** Undefined where we lack the permission. */
  readonly masquerades: NamespaceEntry['masquerades'] | undefined;
}

const SCOPES: Readonly<Record<number, LinkEntry['addresses'][number]['scope']>> = {
  [route.RT_SCOPE.UNIVERSE]: 'global',
  [route.RT_SCOPE.HOST]: 'host',
};

/**
 * Reads a namespace. The thread's own is not entered, so an ordinary user can read that one.
 * NB: when the kernel reports a veth, it assigns an nsid to the namespace of the other end, as with `ip link`. Nothing
 * else changes.
 */
export function look(netns: Netns | undefined): Seen {
  const enter = <T>(inside: () => T): T => (netns === undefined ? inside() : withNetns(netns, inside as () => never));
  const nl = enter(() => openRoute());
  const links = link.list(nl);
  const byLink = Map.groupBy(addr.list(nl), ({ link: index }) => index);
  const passesOn = netns === undefined || links.some(({ kind }) => kind === 'bridge');
  return {
    nl,
    links,
    addresses: byLink,
    routes: route.list(nl).filter(({ table, dst }) => table !== route.RT_TABLE.LOCAL && !isOfTheLink(dst)),
    forwards: FAMILIES.filter((family) => isForwarding(nl, family)),
    masquerades: passesOn ? enter(masquerades) : [],
  };
}

/** A link for the snapshot, without its relations to others. */
export function linkEntry(id: string, each: link.Link, addresses: readonly addr.Address[]): LinkEntry {
  const details = detailsOf(each);
  return {
    id,
    name: each.name,
    index: each.index,
    ...(each.kind !== undefined && { kind: each.kind }),
    state: !each.isUp ? 'down' : each.isOperational || isWithoutCarrier(each) ? 'up' : 'no-carrier',
    mtu: each.mtu,
    ...(each.mac !== undefined && each.hardware === ARPHRD.ETHER && { mac: each.mac }),
    addresses: addresses.map(({ address, scope }) => ({ address: address.toString(), scope: SCOPES[scope] ?? 'link' })),
    ...(Object.keys(details).length > 0 && { details }),
    ...(each.alias !== undefined && { alias: each.alias }),
  };
}

export function routeEntry(each: route.Route, idOf: (index: number) => string): RouteEntry {
  const { dst, gateway, oif, src, priority, table } = each;
  return {
    to: dst.prefix === 0 ? 'default' : dst.toString(),
    ...(gateway !== undefined && { via: gateway.toString() }),
    ...(oif !== undefined && { link: idOf(oif) }),
    ...(src !== undefined && { source: src.toString() }),
    ...(priority !== undefined && { metric: priority }),
    table,
  };
}

/** lo and tunnels have no carrier to lose. */
function isWithoutCarrier({ flags, hardware }: link.Link): boolean {
  return hardware === ARPHRD.LOOPBACK || ((flags & IFF.RUNNING) !== 0 && (flags & IFF.LOWER_UP) !== 0);
}

function detailsOf({ attrs: { linkinfo } }: link.Link): Record<string, string | number> {
  if ((linkinfo?.kind === 'vlan' || linkinfo?.kind === 'vxlan') && linkinfo.data) return picked(linkinfo.data, ['id']);
  if (linkinfo?.kind === 'macvlan' || linkinfo?.kind === 'ipvlan') return picked(linkinfo.data ?? {}, ['mode']);
  if (linkinfo?.kind === 'vrf' && linkinfo.data) return picked(linkinfo.data, ['table']);
  if (linkinfo?.kind === 'tun' && linkinfo.data) return picked(linkinfo.data, ['mode']);
  return {};
}

function picked(data: object, names: readonly string[]): Record<string, string | number> {
  const entries = Object.entries(data).filter(
    (entry): entry is [string, string | number] =>
      names.includes(entry[0]) && ['string', 'number'].includes(typeof entry[1]),
  );
  return Object.fromEntries(entries);
}

/** The kernel's own routes to link-local and multicast addresses: each link has them. */
function isOfTheLink({ ip, family }: Cidr): boolean {
  const text = ip.toString();
  return family === 6 && (text.startsWith('fe80:') || text.startsWith('ff'));
}

/** An ordinary user can read links, addresses and routes, but no rules. */
function masquerades(): Seen['masquerades'] {
  try {
    return readMasquerades();
  } catch (error) {
    if (hasCode(error, 'EPERM')) return undefined;
    throw error;
  }
}

function readMasquerades(): NamespaceEntry['masquerades'] {
  using nft = tryOpenNft();
  if (nft === undefined) return [];
  const ours = masqueradeList(nft).map(({ ip, comment }) => ({ source: ip.toString(), by: `netloom ${comment}` }));
  const others = masqueraded(nft).map(({ source, chain }) => ({
    source: source?.toString() ?? '0.0.0.0/0',
    by: chain,
  }));
  return [...ours, ...others];
}
