/** The part of a snapshot that concerns something: WHAT of `netloom inspect WHAT`. */
import { NetloomError } from '../error.ts';
import { Graph, nameOf } from './graph.ts';
import type { LinkEntry, NamespaceEntry, Snapshot } from './snapshot.ts';

/**
 * @param what a container, sandbox or namespace (by any of its names, `KIND:NAME`, the beginning of an id, `pid:N`,
 * `netns:PATH`), a link, an address, a MAC, a network
 * @throws NetloomError unknown-target
 */
export function select(snapshot: Snapshot, what: string): Snapshot {
  const graph = new Graph(snapshot);
  const meant = linksOf(snapshot, what);
  if (meant === undefined) {
    const names = snapshot.namespaces.map(nameOf).filter((name) => !name.startsWith('/'));
    throw new NetloomError(
      'unknown-target',
      `Nothing here is called "${what}": no container, namespace, link, address or network`,
      {
        hint: `there are: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}`,
      },
    );
  }
  const wanted = new Set(meant.links.map(({ id }) => id));
  for (const link of meant.links)
    for (const hop of graph.pathOf(link)) if (hop.link !== undefined) wanted.add(hop.link.id);
  // Also what is reached through the selection: all containers of a selected bridge, but not the neighbours of a
  // selected container.
  for (const end of snapshot.namespaces.flatMap(({ links }) => links).filter((link) => graph.isEnd(link))) {
    const path = graph.pathOf(end).flatMap(({ link }) => link ?? []);
    if (
      path.some(({ id }) =>
        meant.links.some((link) => link.id === id && (graph.portsOf(link).length > 0 || !meant.isNamespace)),
      )
    ) {
      for (const { id } of path) wanted.add(id);
    }
  }
  const namespaces = snapshot.namespaces
    .map((namespace) => ({
      ...namespace,
      links: namespace.links.filter(({ id }) => wanted.has(id)),
      routes: namespace.routes.filter(({ link }) => link !== undefined && wanted.has(link)),
    }))
    .filter(({ links, id }) => links.length > 0 || meant.namespaces.some((namespace) => namespace.id === id));
  return { ...snapshot, namespaces };
}

interface Meant {
  readonly namespaces: readonly NamespaceEntry[];
  readonly links: readonly LinkEntry[];
  /** A whole namespace is selected; then only its links with ports select what is reached through them. */
  readonly isNamespace: boolean;
}

/** The first of these that exists: a namespace, a network, a link, an address, a MAC. */
function linksOf({ namespaces, networks }: Snapshot, what: string): Meant | undefined {
  const named = namespaces.filter((namespace) => isNamed(namespace, what));
  if (named.length > 0) return { namespaces: named, links: named.flatMap(({ links }) => links), isNamespace: true };
  const all = namespaces.flatMap(({ links }) => links);
  const network = networks.find(({ name }) => name === what);
  const host = namespaces.filter(({ isHost }) => isHost).flatMap(({ links }) => links);
  const ofNetwork = [
    ...all.filter((link) => link.network === what),
    ...host.filter(({ name }) => network?.bridge === name),
  ];
  const lower = what.toLowerCase();
  const found = [
    ofNetwork,
    all.filter(({ name }) => name === what),
    all.filter(({ addresses }) =>
      addresses.some(({ address }) => address === lower || address.startsWith(`${lower}/`)),
    ),
    all.filter(({ mac }) => mac === lower),
  ].find((links) => links.length > 0);
  return found === undefined && network === undefined
    ? undefined
    : { namespaces: [], links: found ?? [], isNamespace: false };
}

function isNamed({ names, pids, pins }: NamespaceEntry, what: string): boolean {
  const colon = what.indexOf(':');
  const [kind, word] = [what.slice(0, colon), what.slice(colon + 1)];
  if (kind === 'pid') return pids.includes(Number(word));
  if (kind === 'netns' && pins.includes(word)) return true;
  return names.some((name) => {
    if (name.name === what || `${name.kind}:${name.name}` === what) return true;
    const begin = name.kind === kind ? word : what;
    return begin.length >= 3 && name.id?.startsWith(begin) === true;
  });
}
