/**
 * The positions of everything in a picture. The only user of @dagrejs/dagre, which is loaded only when a picture is
 * drawn.
 */
import { begin } from '../activity.ts';
import { type Edge, Graph } from './graph.ts';
import { drawn, edgeWords, lines } from './picture-text.ts';
import type { LinkEntry, NamespaceEntry, Snapshot } from './snapshot.ts';
import { titleOf } from './text.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A rectangle, given by its centre. */
export interface Box extends Point {
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
  readonly points: readonly Point[];
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

/** The width of a letter of the picture's monospaced font, at 12 pixels: most fonts have 0.6 of their height. */
const LETTER = 7.3;
const LINE = 16;
const PADDING = 10;
/** Between the box of a namespace and its content. */
const MARGIN = 12;

export async function layout(snapshot: Snapshot): Promise<Picture> {
  const { Graph: Dagre, layout: place } = await import('@dagrejs/dagre');
  const graph = new Graph(snapshot);
  const through = pathsThrough(graph);
  // NB: the default ranker takes three times as long for 200 sandboxes, and draws the same here.
  const plan = new Dagre({ compound: true, multigraph: true });
  plan.setGraph({
    rankdir: 'LR',
    nodesep: 24,
    edgesep: 10,
    ranksep: 40,
    ranker: 'tight-tree',
    marginx: 16,
    marginy: 24,
  });
  plan.setDefaultEdgeLabel(() => ({}));
  const places = snapshot.namespaces.map((namespace) => ({ namespace, links: drawn(namespace.links, graph) }));
  // A single link is placed as the box of its namespace: a nested node for each takes five times as long for 200
  // sandboxes.
  const alone = new Set<string>();
  for (const { namespace, links } of places) {
    if (links.length > 1) plan.setNode(namespace.id, {});
    for (const link of links) {
      const size = sizeOf(lines(link));
      if (links.length > 1) {
        plan.setNode(link.id, size);
        plan.setParent(link.id, namespace.id);
      } else {
        plan.setNode(link.id, boxOf(size, namespace));
        alone.add(link.id);
      }
    }
  }
  const edges = [...graph.edges().map((edge) => ({ ...edge, lines: edgeWords(edge).split(', ') })), ...through.routed];
  for (const { from, to, kind, lines: words } of edges) {
    plan.setEdge(from.id, to.id, { ...sizeOf(words, 2), labelpos: 'c' }, kind);
  }
  begin('drawing');
  place(plan);
  const { width = 0, height = 0 } = plan.graph() as { width?: number; height?: number };
  const box = (link: LinkEntry): Box => {
    const { x, y } = plan.node(link.id) as Box;
    return { x, y: alone.has(link.id) ? y + LINE / 2 : y, ...sizeOf(lines(link)) };
  };
  return {
    width,
    height,
    namespaces: places
      .filter(({ links }) => links.length > 0)
      .map(({ namespace, links }) =>
        around(namespace, links.map(box), through.of(namespace.links.map(({ id }) => id))),
      ),
    links: places.flatMap(({ links }) =>
      links.map((link) => ({ link, lines: lines(link), paths: through.of([link.id]), ...box(link) })),
    ),
    edges: edges.map(({ from, to, kind, lines: words }) => {
      const placed = plan.edge({ v: from.id, w: to.id, name: kind }) as Box & { points: Point[] };
      return {
        from,
        to,
        kind,
        lines: words,
        points: fromRimToRim(box(from), placed.points, box(to)),
        label: dimensions(placed),
        paths: through.of([from.id], [to.id]),
      };
    }),
  };
}

/** NB: an edge ends at the link; dagre may have drawn it only to the box around the link. */
function fromRimToRim(from: Box, points: readonly Point[], to: Box): Point[] {
  const bends = points.slice(1, -1);
  return [rimOf(from, bends[0] ?? to), ...bends, rimOf(to, bends.at(-1) ?? from)];
}

/** Where the straight line from the centre of a box towards a point leaves the box. */
function rimOf({ x, y, width, height }: Box, toward: Point): Point {
  const [dx, dy] = [toward.x - x, toward.y - y];
  const part = 1 / Math.max(Math.abs(dx) / (width / 2), Math.abs(dy) / (height / 2), 1);
  return { x: x + dx * part, y: y + dy * part };
}

function dimensions({ x, y, width, height }: Box): Box {
  return { x, y, width, height };
}

/**
 * The box of a namespace around its links, with the title above them. NB: dagre leaves no room for a title and hardly
 * any margin, so its own boxes are not used.
 */
function around(namespace: NamespaceEntry, inside: readonly Box[], paths: readonly number[]): PlacedNamespace {
  const left = Math.min(...inside.map(({ x, width }) => x - width / 2));
  const right = Math.max(...inside.map(({ x, width }) => x + width / 2));
  const top = Math.min(...inside.map(({ y, height }) => y - height / 2));
  const bottom = Math.max(...inside.map(({ y, height }) => y + height / 2));
  const size = boxOf({ width: right - left, height: bottom - top }, namespace);
  const title = titleOf(namespace);
  return { namespace, title, paths, x: (left + right) / 2, y: (top + bottom - LINE) / 2, ...size };
}

/** The size of a namespace's box around its content and title. */
function boxOf({ width, height }: Pick<Box, 'width' | 'height'>, namespace: NamespaceEntry) {
  return {
    width: Math.max(width + 2 * MARGIN, widthOf(titleOf(namespace))),
    height: height + 2 * MARGIN + LINE,
  };
}

function widthOf(title: string): number {
  return title.length * LETTER + 2 * PADDING;
}

function sizeOf(words: readonly string[], padding = PADDING) {
  const longest = Math.max(...words.map(({ length }) => length));
  return { width: longest * LETTER + 2 * padding, height: words.length * LINE + 2 * padding };
}

/** Which paths go through which links, and the routed steps of the paths, which are not edges of the graph. */
function pathsThrough(graph: Graph) {
  const byLink = new Map<string, number[]>();
  const routed = new Map<string, { kind: 'routed' | 'nat'; from: LinkEntry; to: LinkEntry; lines: string[] }>();
  for (const [number, path] of graph.paths().entries()) {
    for (const [i, { link, join }] of path.entries()) {
      if (link === undefined) continue;
      const through = byLink.get(link.id);
      if (through === undefined) byLink.set(link.id, [number]);
      else through.push(number);
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
