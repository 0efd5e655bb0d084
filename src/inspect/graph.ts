/** A snapshot as a graph: what leads where, and the path of each interface to the outside. */
import { Cidr } from '../net/cidr.ts';
import type { LinkEntry, NamespaceEntry, Snapshot } from './snapshot.ts';

/** How a path gets to a link from the one before. */
export type Join =
  /** The other end of the wire. */
  | 'wire'
  /** The bridge or VRF that it is a port of, or a port of that bridge. */
  | 'port'
  /** The lower link. */
  | 'on'
  /** Routed, under the same address. */
  | 'routed'
  /** Routed, under the address of the link that it leaves by. */
  | 'nat';

export interface Hop {
  readonly join: Join | undefined;
  /** Undefined where the path leads into a namespace that was not seen. */
  readonly link: LinkEntry | undefined;
}

/** From an interface of a container to the link that its packets leave by. */
export type Path = readonly Hop[];

/** One line of a picture. */
export interface Edge {
  readonly kind: Exclude<Join, 'routed' | 'nat'>;
  readonly from: LinkEntry;
  readonly to: LinkEntry;
}

export class Graph {
  readonly snapshot: Snapshot;
  readonly #links = new Map<string, { readonly link: LinkEntry; readonly namespace: NamespaceEntry }>();
  readonly #ports: ReadonlyMap<string | undefined, LinkEntry[]>;
  readonly #leaving = new Map<string, Hop | undefined>();

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
    for (const namespace of snapshot.namespaces) {
      for (const link of namespace.links) this.#links.set(link.id, { link, namespace });
    }
    this.#ports = Map.groupBy(
      snapshot.namespaces.flatMap(({ links }) => links),
      ({ master }) => master,
    );
  }

  link(id: string | undefined): LinkEntry | undefined {
    return id === undefined ? undefined : this.#links.get(id)?.link;
  }

  namespaceOf({ id }: LinkEntry): NamespaceEntry {
    const found = this.#links.get(id);
    if (found === undefined) throw new RangeError(`the link ${id} is not of this snapshot`);
    return found.namespace;
  }

  portsOf({ id }: LinkEntry): readonly LinkEntry[] {
    return this.#ports.get(id) ?? [];
  }

  /** Every edge once: a wire, a port and its master, a link and its lower link. */
  edges(): Edge[] {
    return [...this.#links.values()].flatMap(({ link, namespace }) => {
      const [peer, master, lower] = [this.link(link.peer), this.link(link.master), this.link(link.lower)];
      return [
        ...(peer !== undefined && this.#isFirst(link, namespace, peer)
          ? [{ kind: 'wire' as const, from: link, to: peer }]
          : []),
        ...(master === undefined ? [] : [{ kind: 'port' as const, from: link, to: master }]),
        ...(lower === undefined ? [] : [{ kind: 'on' as const, from: link, to: lower }]),
      ];
    });
  }

  /** The paths of all interfaces that a container would call its own: neither lo nor ports, and none of the host. */
  paths(): Path[] {
    return this.snapshot.namespaces
      .filter(({ isHost }) => !isHost)
      .flatMap(({ links }) => links)
      .filter((link) => this.isEnd(link))
      .map((link) => this.pathOf(link));
  }

  /**
   * Whether a path begins at a link: neither at lo nor at a port nor at a link with ports; in the host only at a link
   * that leads to another one.
   */
  isEnd(link: LinkEntry): boolean {
    if (link.name === 'lo' || link.master !== undefined) return false;
    if (this.portsOf(link).length > 0) return false;
    return (
      link.peer !== undefined ||
      link.lower !== undefined ||
      link.leadsAway === true ||
      this.namespaceOf(link).isHost === false
    );
  }

  pathOf(start: LinkEntry): Path {
    const hops: Hop[] = [{ join: undefined, link: start }];
    const visited = new Set([start.id]);
    let at = start;
    for (;;) {
      const next = this.#next(at, visited);
      if (next === undefined) return hops;
      hops.push(next);
      if (next.link === undefined || visited.has(next.link.id) || next.join === 'nat' || next.join === 'routed')
        return hops;
      visited.add(next.link.id);
      at = next.link;
    }
  }

  #next(at: LinkEntry, visited: ReadonlySet<string>): Hop | undefined {
    const unseen = (id: string | undefined) => (id === undefined || visited.has(id) ? undefined : this.link(id));
    const peer = unseen(at.peer);
    if (peer !== undefined) return { join: 'wire', link: peer };
    const master = unseen(at.master);
    if (master !== undefined) return { join: 'port', link: master };
    const lower = unseen(at.lower);
    if (lower !== undefined) return { join: 'on', link: lower };
    if (at.leadsAway === true) return { join: at.kind === 'veth' ? 'wire' : 'on', link: undefined };
    // A bridge leads out by a port that is not a wire to a container.
    const uplink = this.portsOf(at).find(
      (port) => !visited.has(port.id) && port.peer === undefined && port.leadsAway !== true && port.kind !== 'tun',
    );
    if (uplink !== undefined) return { join: 'port', link: uplink };
    return visited.size > 1 ? this.#leavingOf(at) : undefined;
  }

  /** NB: cached, since all containers of a bridge leave by the same link. */
  #leavingOf(at: LinkEntry): Hop | undefined {
    if (!this.#leaving.has(at.id)) this.#leaving.set(at.id, this.#findLeaving(at));
    return this.#leaving.get(at.id);
  }

  /**
   * Where routed packets leave a namespace: by the default route, if the namespace forwards the family and the route
   * has another link.
   */
  #findLeaving(at: LinkEntry): Hop | undefined {
    const { routes, forwards, masquerades } = this.namespaceOf(at);
    const address = at.addresses.find(({ scope }) => scope === 'global')?.address;
    const cidr = address === undefined ? undefined : Cidr.tryParse(address);
    if (cidr === undefined || !forwards.includes(cidr.family)) return undefined;
    const isDefault = ({ to, via, table, link }: (typeof routes)[number]) =>
      to === 'default' && table === MAIN && link !== undefined && familyOf(via) === cidr.family && link !== at.id;
    const link = this.link(routes.find(isDefault)?.link);
    if (link === undefined) return undefined;
    const subnet = cidr.network();
    const isMasqueraded = masquerades.some(({ source }) => isWithin(source, subnet));
    return { join: isMasqueraded ? 'nat' : 'routed', link };
  }

  /** Both ends refer to each other; the edge begins at the end in the container. */
  #isFirst(link: LinkEntry, { isHost }: NamespaceEntry, peer: LinkEntry): boolean {
    if (peer.peer !== link.id) return true;
    const peersHost = this.namespaceOf(peer).isHost;
    if (isHost !== peersHost) return !isHost;
    return link.id < peer.id;
  }
}

const MAIN = 254;

function familyOf(via: string | undefined): 4 | 6 {
  return via?.includes(':') === true ? 6 : 4;
}

/** Whether a masqueraded source is in a subnet, or contains it. */
function isWithin(source: string, subnet: Cidr): boolean {
  const prefix = Cidr.tryParse(source.includes('/') ? source : `${source}/${source.includes(':') ? 128 : 32}`);
  return (
    prefix !== undefined &&
    prefix.family === subnet.family &&
    (subnet.contains(prefix.ip) || prefix.contains(subnet.ip))
  );
}

/** The name that people use for a namespace. */
export function nameOf({ names, id, pins }: NamespaceEntry): string {
  return names[0]?.name ?? pins[0] ?? id;
}
