/** Where things are in a picture: nothing overlaps, and every line ends at its links. */
import test from 'ava';
import { type Box, layout, type Point } from '../../src/inspect/layout.ts';
import type { LinkEntry, NamespaceEntry, Snapshot } from '../../src/inspect/snapshot.ts';

const SANDBOXES = 200;

function linkOf(namespace: string, index: number, name: string, more: Partial<LinkEntry> = {}): LinkEntry {
  return { id: `${namespace}-${index}`, name, index, kind: 'veth', state: 'up', mtu: 1500, addresses: [], ...more };
}

function namespaceOf(id: string, links: LinkEntry[]): NamespaceEntry {
  const isHost = id === 'host';
  const names = [{ kind: isHost ? 'host' : 'sandbox', name: id }];
  return { id, isHost, names, pins: [], pids: [], forwards: isHost ? [4] : [], links, routes: [], masquerades: [] };
}

/** Sandboxes on a bridge. Every fiftieth has a second wire, to its neighbour. */
function many(): Snapshot {
  const bridge = linkOf('host', 1, 'br-many', { kind: 'bridge' });
  const numbers = Array.from({ length: SANDBOXES }, (_, i) => i);
  const ports = numbers.map((i) =>
    linkOf('host', i + 2, `veth${i}`, { peer: `sb-${i}-1`, master: bridge.id, state: i % 7 === 0 ? 'down' : 'up' }),
  );
  const namespaces = numbers.map((i) => {
    const address = `10.65.${i >> 8}.${i & 255}/16`;
    const eth0 = linkOf(`sb-${i}`, 1, 'eth0', { peer: `host-${i + 2}`, addresses: [{ address, scope: 'global' }] });
    const other = i % 50 === 0 ? i + 1 : i % 50 === 1 ? i - 1 : undefined;
    return namespaceOf(`sb-${i}`, [
      eth0,
      ...(other === undefined ? [] : [linkOf(`sb-${i}`, 2, 'eth1', { peer: `sb-${other}-2` })]),
    ]);
  });
  return {
    format: 1,
    taken: '2026-01-01T00:00:00.000Z',
    namespaces: [namespaceOf('host', [bridge, ...ports]), ...namespaces],
    networks: [],
    warnings: [],
  };
}

test(`a picture of ${SANDBOXES} sandboxes has each link in its namespace's box, and each line from link to link`, async (t) => {
  const snapshot = many();
  const { namespaces, links, edges } = await layout(snapshot);
  t.is(namespaces.length, SANDBOXES + 1);
  t.is(links.length, 1 + 2 * SANDBOXES + 8);
  t.is(edges.length, 2 * SANDBOXES + 4, 'a wire and a port each, and four wires between neighbours');
  for (const group of [namespaces, links]) {
    for (const [i, one] of group.entries())
      for (const other of group.slice(i + 1)) if (overlap(one, other)) t.fail(`${nameOf(one)} and ${nameOf(other)}`);
  }
  const boxes = new Map(links.map((placed) => [placed.link.id, placed]));
  for (const { namespace, ...box } of namespaces) {
    for (const { id } of namespace.links) {
      const inner = boxes.get(id) as Box;
      if (Math.abs(inner.x - box.x) + inner.width / 2 > box.width / 2) t.fail(`${id} beside ${namespace.id}`);
      if (Math.abs(inner.y - box.y) + inner.height / 2 > box.height / 2) t.fail(`${id} above or below ${namespace.id}`);
    }
  }
  for (const { from, to, points } of edges) {
    if (!isOnRim(boxes.get(from.id) as Box, points[0])) t.fail(`the line from ${from.id} to ${to.id} begins elsewhere`);
    if (!isOnRim(boxes.get(to.id) as Box, points.at(-1))) t.fail(`the line from ${from.id} to ${to.id} ends elsewhere`);
  }
});

function nameOf(placed: object): string {
  const { link, namespace } = placed as { link?: LinkEntry; namespace?: NamespaceEntry };
  return link?.id ?? namespace?.id ?? '';
}

function overlap(one: Box, other: Box): boolean {
  return (
    2 * Math.abs(one.x - other.x) < one.width + other.width && 2 * Math.abs(one.y - other.y) < one.height + other.height
  );
}

/** Whether a point is on the edge of a box, within a hundredth of a pixel. */
function isOnRim({ x, y, width, height }: Box, point: Point | undefined): boolean {
  if (point === undefined) return false;
  const [across, down] = [Math.abs(point.x - x) - width / 2, Math.abs(point.y - y) - height / 2];
  return Math.abs(Math.max(across, down)) < 0.01;
}
