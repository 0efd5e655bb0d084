/** A snapshot as text: first each path as one line, then every namespace with what is in it. */
import { counted } from '../counted.ts';
import { Graph, type Hop, type Join, nameOf, type Path } from './graph.ts';
import type { LinkEntry, NamespaceEntry, RouteEntry, Snapshot } from './snapshot.ts';

/** Colours a text by a state; the identity where nothing is coloured. */
export type Paint = (state: LinkEntry['state'] | 'faint', text: string) => string;

export const PLAIN: Paint = (_, text) => text;

const SIGNS: Readonly<Record<Join, string>> = { wire: '⇄', port: '─', on: '─ on', routed: '→', nat: '─ nat →' };

export function toText(snapshot: Snapshot, paint: Paint = PLAIN): string {
  const graph = new Graph(snapshot);
  const paths = pathLines(graph, paint);
  const trees = snapshot.namespaces.map((namespace) => tree(graph, namespace, paint).join('\n'));
  const warnings = snapshot.warnings.map((warning) => `not seen: ${warning}`);
  return `${[paths.join('\n'), ...trees, warnings.join('\n')].filter((part) => part !== '').join('\n\n')}\n`;
}

/** `web  eth0 10.1.0.2/24 ⇄ veth3f2a ─ cni0 10.1.0.1/24 ─ nat → eth0`, one line per path */
export function pathLines(graph: Graph, paint: Paint = PLAIN): string[] {
  const rows = graph.paths().map((path): [string, string] => [ownerOf(graph, path), hops(graph, path, paint)]);
  const width = Math.max(0, ...rows.map(([owner]) => owner.length));
  return rows.map(([owner, text]) => `${owner.padEnd(width)}  ${text}`);
}

function ownerOf(graph: Graph, [first]: Path): string {
  return first?.link === undefined ? '' : nameOf(graph.namespaceOf(first.link));
}

function hops(graph: Graph, path: Path, paint: Paint): string {
  const [home] = path;
  return path
    .map(({ join, link }, i) => {
      const sign = join === undefined ? '' : `${SIGNS[join]} `;
      if (link === undefined) return `${sign}${paint('faint', '(in a namespace that was not seen)')}`;
      return `${sign}${inOther(graph, home, path[i - 1], link)}${linkWords(link, paint)}`;
    })
    .join(' ');
}

/**
 * The namespace's name and a colon before a link, unless it is the host, or that of the path's start or of the link
 * before.
 */
function inOther(graph: Graph, home: Hop | undefined, before: Hop | undefined, link: LinkEntry): string {
  const namespace = graph.namespaceOf(link);
  const isSame = (hop: Hop | undefined) => hop?.link !== undefined && graph.namespaceOf(hop.link) === namespace;
  return namespace.isHost || isSame(home) || isSame(before) ? '' : `${nameOf(namespace)}:`;
}

function linkWords(link: LinkEntry, paint: Paint): string {
  return [
    paint(link.state, link.name),
    ...globals(link),
    ...(link.state === 'up' ? [] : [paint(link.state, stateWords(link))]),
  ].join(' ');
}

function stateWords({ state }: LinkEntry): string {
  return state === 'up' ? 'up' : state === 'down' ? '(down)' : '(no carrier)';
}

/** The addresses of global scope. */
export function globals({ addresses }: LinkEntry): string[] {
  return addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address);
}

function tree(graph: Graph, namespace: NamespaceEntry, paint: Paint): string[] {
  const roots = namespace.links.filter(({ master }) => master === undefined);
  const links = roots.flatMap((link, i) => branch(graph, link, i === roots.length - 1, '', paint));
  const routes = namespace.routes
    .filter(({ to }) => to === 'default')
    .map((route) => `   ${paint('faint', routeWords(graph, route))}`);
  return [titleOf(namespace), ...links, ...routes];
}

function branch(graph: Graph, link: LinkEntry, isLast: boolean, indent: string, paint: Paint): string[] {
  const ports = graph.portsOf(link);
  const own = `${indent}${isLast ? '└─ ' : '├─ '}${described(graph, link, paint)}`;
  const deeper = `${indent}${isLast ? '   ' : '│  '}`;
  return [own, ...ports.flatMap((port, i) => branch(graph, port, i === ports.length - 1, deeper, paint))];
}

/** `eth0  veth 10.1.0.2/24 mtu 1500 ⇄ host:veth3f2a, network demo` */
function described(graph: Graph, link: LinkEntry, paint: Paint): string {
  const [peer, lower] = [graph.link(link.peer), graph.link(link.lower)];
  const kind = [
    link.kind ?? '',
    ...Object.entries(link.details ?? {}).map(([name, value]) => `${name} ${value}`),
  ].filter(Boolean);
  const away = link.leadsAway === true ? [`⇄ ${paint('faint', '(not seen)')}`] : [];
  return [
    paint(link.state, link.name),
    ...kind,
    ...globals(link),
    `mtu ${link.mtu}`,
    ...(link.state === 'up' ? [] : [paint(link.state, stateWords(link))]),
    ...(peer === undefined ? [] : [`⇄ ${qualified(graph, link, peer)}`]),
    ...(lower === undefined ? [] : [`on ${qualified(graph, link, lower)}`]),
    ...away,
    ...(link.network === undefined ? [] : [paint('faint', `network ${link.network}`)]),
  ].join(' ');
}

function qualified(graph: Graph, from: LinkEntry, to: LinkEntry): string {
  const namespace = graph.namespaceOf(to);
  return namespace === graph.namespaceOf(from) ? to.name : `${nameOf(namespace)}:${to.name}`;
}

/** `web  sandbox, 2 processes (sleep), 4026532240` */
export function titleOf({ isHost, names, pids, command, forwards }: NamespaceEntry): string {
  const [first] = names;
  const others = names.slice(1).filter(({ kind }) => kind !== 'process');
  const facts = [
    ...(isHost || first === undefined ? [] : [first.kind]),
    ...(others.length > 0 && !isHost ? [`also ${others.map(({ name }) => name).join(', ')}`] : []),
    isHost || pids.length === 0
      ? ''
      : `${counted(pids.length, 'process', 'processes')}${command === undefined ? '' : ` (${command})`}`,
    forwards.length > 0 ? `forwards ${forwards.map((family) => `IPv${family}`).join(' and ')}` : '',
  ].filter(Boolean);
  return `${first?.name ?? 'a namespace without a name'}${facts.length > 0 ? `  ${facts.join(', ')}` : ''}`;
}

export function routeWords(graph: Graph, { to, via, link, metric, table }: RouteEntry): string {
  const dev = graph.link(link)?.name;
  return [
    to,
    ...(via === undefined ? [] : [`via ${via}`]),
    ...(dev === undefined ? [] : [`dev ${dev}`]),
    ...(metric === undefined ? [] : [`metric ${metric}`]),
    ...(table === 254 ? [] : [`table ${table}`]),
  ].join(' ');
}
