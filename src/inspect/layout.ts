/** Where things are in a picture. The only user of @dagrejs/dagre, which is loaded when a picture is drawn and not before. */
import { type Edge, Graph } from './graph.ts';
import { drawn, edgeWords, lines } from './picture-text.ts';
import type { LinkEntry, NamespaceEntry, Snapshot } from './snapshot.ts';
import { titleOf } from './text.ts';

export interface Box {
  /** Its middle. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PlacedNamespace extends Box {
  readonly namespace: NamespaceEntry;
  readonly title: string;
  readonly paths: readonly number[];
}

export interface PlacedLink extends Box {
  readonly link: LinkEntry;
  readonly lines: readonly string[];
  readonly paths: readonly number[];
}

export interface PlacedEdge {
  readonly kind: Edge['kind'] | 'routed' | 'nat';
  readonly from: LinkEntry;
  readonly to: LinkEntry;
  readonly points: readonly { readonly x: number; readonly y: number }[];
  readonly label: Box;
  readonly lines: readonly string[];
  readonly paths: readonly number[];
}

/** A picture: boxes and lines, each with the numbers of the paths that go through it. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly namespaces: readonly PlacedNamespace[];
  readonly links: readonly PlacedLink[];
  readonly edges: readonly PlacedEdge[];
}

/** Of the monospaced font of the picture, at 12 pixels: most have 0.6 of their height. */
const LETTER = 7.3;
const LINE = 16;
const PADDING = 10;
/** Between a namespace's box and what is in it. */
const MARGIN = 12;

export async function layout(snapshot: Snapshot): Promise<Picture> {
  const { Graph: Dagre, layout: place } = await import('@dagrejs/dagre');
  const graph = new Graph(snapshot);
  const through = pathsThrough(graph);
  // NB: the default ranker takes three times as long for 200 sandboxes, and draws the same here.
  const plan = new Dagre({ compound: true, multigraph: true });
  plan.setGraph({
    rankdir: 'LR',
    nodesep: 36,
    edgesep: 10,
    ranksep: 40,
    ranker: 'tight-tree',
    marginx: 16,
    marginy: 24,
  });
  plan.setDefaultEdgeLabel(() => ({}));
  const links = snapshot.namespaces.flatMap((namespace) =>
    drawn(namespace.links, graph).map((link) => ({ link, namespace })),
  );
  for (const namespace of snapshot.namespaces) plan.setNode(namespace.id, {});
  for (const { link, namespace } of links) {
    // A box is as wide as what is in it, and its title is, too.
    const isAlone = drawn(namespace.links, graph).length === 1;
    const size = sizeOf(lines(link));
    plan.setNode(
      link.id,
      isAlone ? { ...size, width: Math.max(size.width, widthOf(titleOf(namespace)) - 2 * MARGIN) } : size,
    );
    plan.setParent(link.id, namespace.id);
  }
  const edges = [...graph.edges().map((edge) => ({ ...edge, lines: edgeWords(edge).split(', ') })), ...through.routed];
  for (const { from, to, kind, lines: words } of edges) {
    plan.setEdge(from.id, to.id, { ...sizeOf(words, 2), labelpos: 'c' }, kind);
  }
  place(plan);
  const { width = 0, height = 0 } = plan.graph() as { width?: number; height?: number };
  const box = (id: string) => plan.node(id) as Box;
  return {
    width,
    height,
    namespaces: snapshot.namespaces
      .filter(({ links: own }) => own.length > 0)
      .map((namespace) =>
        around(
          namespace,
          drawn(namespace.links, graph).map(({ id }) => box(id)),
          through.of(namespace.links.map(({ id }) => id)),
        ),
      ),
    links: links.map(({ link }) => ({
      link,
      lines: lines(link),
      paths: through.of([link.id]),
      ...dimensions(box(link.id)),
    })),
    edges: edges.map(({ from, to, kind, lines: words }) => {
      const placed = plan.edge({ v: from.id, w: to.id, name: kind }) as Box & { points: { x: number; y: number }[] };
      return {
        from,
        to,
        kind,
        lines: words,
        points: placed.points,
        label: dimensions(placed),
        paths: through.of([from.id], [to.id]),
      };
    }),
  };
}

function dimensions({ x, y, width, height }: Box): Box {
  return { x, y, width, height };
}

/** Around its links, with the title above them. NB: dagre leaves room for neither a title nor much else, so its own boxes are not used. */
function around(namespace: NamespaceEntry, inside: readonly Box[], paths: readonly number[]): PlacedNamespace {
  const title = titleOf(namespace);
  const left = Math.min(...inside.map(({ x, width }) => x - width / 2)) - MARGIN;
  const right = Math.max(...inside.map(({ x, width }) => x + width / 2)) + MARGIN;
  const top = Math.min(...inside.map(({ y, height }) => y - height / 2)) - MARGIN - LINE;
  const bottom = Math.max(...inside.map(({ y, height }) => y + height / 2)) + MARGIN;
  const width = Math.max(right - left, widthOf(title));
  const height = bottom - top;
  return { namespace, title, paths, x: left + width / 2, y: top + height / 2, width, height };
}

function widthOf(title: string): number {
  return title.length * LETTER + 2 * PADDING;
}

function sizeOf(words: readonly string[], padding = PADDING) {
  const longest = Math.max(...words.map(({ length }) => length));
  return { width: longest * LETTER + 2 * padding, height: words.length * LINE + 2 * padding };
}

/** Which paths go through which links, and the steps of them that are routed and so no edges of the graph. */
function pathsThrough(graph: Graph) {
  const byLink = new Map<string, number[]>();
  const routed = new Map<string, { kind: 'routed' | 'nat'; from: LinkEntry; to: LinkEntry; lines: string[] }>();
  for (const [number, path] of graph.paths().entries()) {
    for (const [i, { link, join }] of path.entries()) {
      if (link === undefined) continue;
      byLink.set(link.id, [...(byLink.get(link.id) ?? []), number]);
      const before = path[i - 1]?.link;
      if (before === undefined || (join !== 'nat' && join !== 'routed')) continue;
      routed.set(`${before.id} ${link.id} ${join}`, { kind: join, from: before, to: link, lines: [join] });
    }
  }
  const any = (ids: readonly string[]) => new Set(ids.flatMap((id) => byLink.get(id) ?? []));
  return {
    routed: [...routed.values()],
    /** The paths that go through one of each list. */
    of: (...lists: readonly (readonly string[])[]): number[] => {
      const [first = new Set<number>(), ...others] = lists.map(any);
      return [...first].filter((number) => others.every((set) => set.has(number))).sort((a, b) => a - b);
    },
  };
}
