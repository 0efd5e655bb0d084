/** A snapshot for programs that draw: Mermaid (https://mermaid.js.org) and Graphviz' DOT (https://graphviz.org). */
import { type Edge, Graph } from './graph.ts';
import type { LinkEntry, Snapshot } from './snapshot.ts';
import { globals, titleOf } from './text.ts';

const COLOURS = { up: '#2da44e', down: '#cf222e', 'no-carrier': '#bf8700' } as const;

export function toMermaid(snapshot: Snapshot): string {
  const ids = new Identifiers();
  const graph = new Graph(snapshot);
  const text = (value: string) =>
    `"${value.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')}"`;
  const boxes = snapshot.namespaces.flatMap((namespace) => [
    `  subgraph ${ids.of(namespace.id)} [${text(titleOf(namespace))}]`,
    ...drawn(namespace.links, graph).map(
      (link) => `    ${ids.of(link.id)}[${text(lines(link).join('\n')).replaceAll('\n', '<br>')}]:::${ids.state(link)}`,
    ),
    '  end',
  ]);
  const edges = graph
    .edges()
    .map(
      (edge) =>
        `  ${ids.of(edge.from.id)} ${edge.kind === 'wire' ? '<-->' : '-->'}|${text(edgeWords(edge))}| ${ids.of(edge.to.id)}`,
    );
  const classes = Object.entries(COLOURS).map(
    ([state, colour]) => `  classDef ${state.replace('-', '')} stroke:${colour},stroke-width:2px`,
  );
  return `${['flowchart LR', ...boxes, ...edges, ...classes].join('\n')}\n`;
}

export function toDot(snapshot: Snapshot): string {
  const ids = new Identifiers();
  const graph = new Graph(snapshot);
  const text = (value: string) => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
  const boxes = snapshot.namespaces.flatMap((namespace) => [
    `  subgraph cluster_${ids.of(namespace.id)} {`,
    `    label=${text(titleOf(namespace))}`,
    ...drawn(namespace.links, graph).map(
      (link) => `    ${ids.of(link.id)} [label=${text(lines(link).join('\n'))} color=${text(COLOURS[link.state])}]`,
    ),
    '  }',
  ]);
  const edges = graph
    .edges()
    .map(
      (edge) =>
        `  ${ids.of(edge.from.id)} -> ${ids.of(edge.to.id)} [label=${text(edgeWords(edge))}${edge.kind === 'wire' ? ' dir=both' : ''}]`,
    );
  return `${['digraph netloom {', '  rankdir=LR', '  node [shape=box fontname="sans-serif"]', '  edge [fontname="sans-serif" fontsize=10]', ...boxes, ...edges, '}'].join('\n')}\n`;
}

/** Leaves lo out: it is everywhere and leads nowhere. */
export function drawn(links: readonly LinkEntry[], graph: Graph): LinkEntry[] {
  return links.filter((link) => link.name !== 'lo' || graph.portsOf(link).length > 0 || links.length === 1);
}

export function lines(link: LinkEntry): string[] {
  const kind = [
    link.kind ?? 'device',
    ...Object.entries(link.details ?? {}).map(([name, value]) => `${name} ${value}`),
  ].join(' ');
  return [link.name, ...globals(link), kind];
}

/** `eth0 10.1.0.2/24 ⇄ veth3f2a, mtu 1500` */
export function edgeWords({ kind, from, to }: Edge): string {
  const end = (link: LinkEntry) => [link.name, ...globals(link)].join(' ');
  const mtu = from.mtu === to.mtu ? `mtu ${from.mtu}` : `mtu ${from.mtu} and ${to.mtu}`;
  if (kind === 'wire') return `${end(from)} ⇄ ${end(to)}, ${mtu}`;
  return kind === 'port'
    ? mtu
    : `${from.kind ?? 'link'} ${Object.values(from.details ?? {}).join(' ')}`.trim().concat(`, ${mtu}`);
}

/** Names that are valid in both languages, numbered in the order of first use. */
class Identifiers {
  readonly #known = new Map<string, string>();

  of(id: string): string {
    const known = this.#known.get(id) ?? `x${this.#known.size + 1}`;
    this.#known.set(id, known);
    return known;
  }

  state({ state }: LinkEntry): string {
    return state.replace('-', '');
  }
}
