/** A snapshot as a picture: SVG 2 with an embedded style sheet, so that the file looks the same everywhere. */
import { type Box, layout, type Picture, type PlacedEdge, type PlacedLink, type PlacedNamespace } from './layout.ts';
import type { Snapshot } from './snapshot.ts';

const LINE = 16;

/** Light or dark, as the reader's system is set. */
const STYLE = `
.netloom { --ground: #fff; --box: #f6f8fa; --rim: #d0d7de; --ink: #1f2328; --faint: #59636e; --up: #1a7f37; --down: #cf222e; --no-carrier: #9a6700; --path: #0969da; }
@media (prefers-color-scheme: dark) { .netloom { --ground: #0d1117; --box: #161b22; --rim: #3d444d; --ink: #e6edf3; --faint: #9198a1; --up: #3fb950; --down: #f85149; --no-carrier: #d29922; --path: #58a6ff; } }
.netloom { background: var(--ground); font: 12px ui-monospace, "DejaVu Sans Mono", monospace; }
.netloom text { fill: var(--ink); }
.netloom .namespace > rect { fill: var(--box); stroke: var(--rim); }
.netloom .namespace > text { font-weight: bold; }
.netloom .link > rect { fill: var(--ground); stroke: var(--state); stroke-width: 1.5; }
.netloom .link > text { fill: var(--faint); }
.netloom .link > text.name { fill: var(--ink); font-weight: bold; }
.netloom .up { --state: var(--up); } .netloom .down { --state: var(--down); } .netloom .no-carrier { --state: var(--no-carrier); }
.netloom .edge > path { fill: none; stroke: var(--state, var(--rim)); stroke-width: 1.5; }
.netloom .edge.routed > path, .netloom .edge.nat > path { stroke: var(--faint); stroke-dasharray: 5 4; }
.netloom .edge > rect { fill: var(--ground); opacity: 0.85; }
.netloom .edge.port > rect, .netloom .edge.nat > rect, .netloom .edge.routed > rect { fill: var(--box); }
.netloom .edge > text { fill: var(--faint); font-size: 11px; text-anchor: middle; }
.netloom g { transition: opacity 0.1s; }
.netloom.lighting .link, .netloom.lighting .edge { opacity: 0.2; }
.netloom.lighting .lit { opacity: 1; }
.netloom .lit > path { stroke: var(--path) !important; stroke-width: 3; }
.netloom .lit.link > rect { stroke-width: 3; }
`;

export async function toSvg(snapshot: Snapshot): Promise<string> {
  return svgOf(await layout(snapshot));
}

export function svgOf({ width, height, namespaces, links, edges }: Picture): string {
  const [w, h] = [Math.ceil(width + 24), Math.ceil(height + 24)];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="netloom" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" role="img" aria-label="wiring">`,
    `<style>${STYLE}</style>`,
    ...namespaces.map(namespaceOf),
    ...edges.map(edgeOf),
    ...links.map(linkOf),
    '</svg>\n',
  ].join('\n');
}

function namespaceOf({ namespace, title, paths, ...box }: PlacedNamespace): string {
  const { x, y } = corner(box);
  return `<g class="namespace" data-namespace="${escapeXml(title.split('  ')[0] ?? '')}"${pathsOf(paths)}>${rectangle(box, 8)}<text x="${x + 10}" y="${y + 17}">${escapeXml(title.replace('  ', ': '))}</text></g>`;
}

function linkOf({ link, lines, paths, ...box }: PlacedLink): string {
  const { x, y } = corner(box);
  const texts = lines.map(
    (line, i) =>
      `<text${i === 0 ? ' class="name"' : ''} x="${x + 10}" y="${y + 22 + i * LINE}">${escapeXml(line)}</text>`,
  );
  const facts = [
    link.name,
    link.state,
    `mtu ${link.mtu}`,
    link.mac ?? '',
    ...link.addresses.map(({ address }) => address),
    link.network === undefined ? '' : `network ${link.network}`,
  ];
  return `<g class="link ${link.state}" tabindex="0" data-link="${escapeXml(link.name)}" data-id="${escapeXml(link.id)}"${pathsOf(paths)}><title>${escapeXml(facts.filter(Boolean).join('\n'))}</title>${rectangle(box, 4)}${texts.join('')}</g>`;
}

function edgeOf({ kind, from, to, points, label, lines, paths }: PlacedEdge): string {
  const state = [from, to].find((link) => link.state !== 'up')?.state ?? 'up';
  const { x, y } = corner(label);
  const texts = lines.map(
    (line, i) => `<text x="${round(label.x)}" y="${y + 13 + i * LINE}">${escapeXml(line)}</text>`,
  );
  const ground = `<rect x="${x}" y="${y}" width="${round(label.width)}" height="${round(label.height)}"/>`;
  return `<g class="edge ${kind} ${state}" data-from="${escapeXml(from.id)}" data-to="${escapeXml(to.id)}"${pathsOf(paths)}><path d="${curve(points)}"/>${ground}${texts.join('')}</g>`;
}

/**
 * A curve through all points, rounded at the bends: each bend is the control point of a curve from midpoint to
 * midpoint.
 */
function curve(points: PlacedEdge['points']): string {
  const [first, ...rest] = points;
  if (first === undefined) return '';
  const at = ({ x, y }: { x: number; y: number }) => `${round(x)} ${round(y)}`;
  const bends = rest.slice(0, -1).map((point, i) => {
    const next = rest[i + 1] ?? point;
    const isLast = i === rest.length - 2;
    return `Q${at(point)} ${at(isLast ? next : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 })}`;
  });
  return `M${at(first)}${bends.length > 0 ? bends.join('') : rest.map((point) => `L${at(point)}`).join('')}`;
}

function rectangle(box: Box, radius: number): string {
  const { x, y } = corner(box);
  return `<rect x="${x}" y="${y}" width="${round(box.width)}" height="${round(box.height)}" rx="${radius}"/>`;
}

function corner({ x, y, width, height }: Box) {
  return { x: round(x - width / 2), y: round(y - height / 2) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function pathsOf(paths: readonly number[]): string {
  return paths.length === 0 ? '' : ` data-paths="${paths.join(' ')}"`;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
