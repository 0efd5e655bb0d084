/**
 * What a policy allows in one direction and one family, as boxes: ranges of peers, of protocols and of ports. Rules may
 * overlap but elements of a set may not, so a set gets boxes that do not overlap.
 */
import { bitsOf, type Family } from '../net/ip.ts';

type Range<T> = readonly [first: T, last: T];

export interface Box {
  /** Addresses as numbers. */
  readonly peer: Range<bigint>;
  readonly protocol: Range<number>;
  /** 0 to 65535 if the rule names none, and for protocols without ports. */
  readonly port: Range<number>;
}

export const ANY_PROTOCOL: Range<number> = [0, 255];
export const ANY_PORT: Range<number> = [0, 65_535];

/** The box of all peers, protocols and ports. */
export function everything(family: Family): Box {
  return { peer: [0n, (1n << BigInt(bitsOf(family))) - 1n], protocol: ANY_PROTOCOL, port: ANY_PORT };
}

/** The union of boxes, as boxes that do not overlap. */
export function union(boxes: readonly Box[]): Box[] {
  return subtract(boxes, []);
}

/**
 * What is in any of `these` and in none of `those`, as boxes that do not overlap. It sweeps the peers from the first to
 * the last. While the same protocols and ports go on, nothing is compared, so a box that has all peers costs no more
 * beside ten thousand others than beside one.
 */
export function subtract(these: readonly Box[], those: readonly Box[]): Box[] {
  const result: Box[] = [];
  /** What continues from the stretch before, by its origin and its area. */
  let open = new Map<string, { from: bigint; readonly area: Area }>();
  const areas = new Map<string, readonly (readonly [origin: number, area: Area])[]>();
  for (const { first, active } of stretches(these, those)) {
    const key = active.map(([box, isWanted]) => `${isWanted ? '+' : '-'}${keyOf(box)}`).join();
    const left = areas.get(key) ?? areasOf(active);
    areas.set(key, left);
    const now: typeof open = new Map();
    for (const [origin, area] of left) {
      const id = `${active[origin]?.[2]} ${keyOf(area)}`;
      now.set(id, open.get(id) ?? { from: first, area });
    }
    for (const [id, { from, area }] of open) if (!now.has(id)) result.push({ peer: [from, first - 1n], ...area });
    open = now;
  }
  return result;
}

/** The protocols and ports of a box. */
type Area = Omit<Box, 'peer'>;

/** A box that has the peers of a stretch, whether it is one of `these`, and its index among all boxes. */
type Active = readonly [box: Box, isWanted: boolean, place: number];

/**
 * Stretches of peers. From the first peer of a stretch up to the next stretch, the same boxes are active. The last
 * stretch has none.
 */
function* stretches(
  these: readonly Box[],
  those: readonly Box[],
): Generator<{ readonly first: bigint; readonly active: readonly Active[] }> {
  const all = [...these, ...those];
  const changes = all
    .flatMap(({ peer }, place) => [
      { at: peer[0], place, begins: true },
      { at: peer[1] + 1n, place, begins: false },
    ])
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const places = new Set<number>();
  for (const [i, { at, place, begins }] of changes.entries()) {
    if (begins) places.add(place);
    else places.delete(place);
    if (changes[i + 1]?.at === at) continue;
    const active = [...places].sort((a, b) => a - b);
    yield { first: at, active: active.map((each) => [all[each] as Box, each < these.length, each]) };
  }
}

/** What is left of each of `these` on a stretch, in their order. */
function areasOf(active: readonly Active[]): (readonly [origin: number, area: Area])[] {
  const those = active.flatMap(([box, isWanted]) => (isWanted ? [] : [box]));
  const taken: Area[] = [...those];
  const result: (readonly [number, Area])[] = [];
  for (const [origin, [box, isWanted]] of active.entries()) {
    if (!isWanted) continue;
    let rest: Area[] = [box];
    for (const other of taken) rest = rest.flatMap((area) => cut(area, other));
    for (const { protocol, port } of rest) result.push([origin, { protocol, port }]);
    taken.push(...rest);
  }
  return result;
}

function keyOf({ protocol, port }: Area): string {
  return `${protocol.join('-')}:${port.join('-')}`;
}

/** Whether boxes that do not overlap cover everything. */
export function isEverything(boxes: readonly Box[], family: Family): boolean {
  return boxes.reduce((sum, box) => sum + sizeOf(box), 0n) === sizeOf(everything(family));
}

function sizeOf({ peer, protocol, port }: Box): bigint {
  return (peer[1] - peer[0] + 1n) * BigInt((protocol[1] - protocol[0] + 1) * (port[1] - port[0] + 1));
}

/** `area` without `other`: the parts below and above it, first by protocol, then by port. */
function cut(area: Area, other: Area): Area[] {
  const { protocol: q, port: r } = area;
  if (!meets(q, other.protocol) || !meets(r, other.port)) return [area];
  const rest: Area[] = [];
  if (q[0] < other.protocol[0]) rest.push({ protocol: [q[0], other.protocol[0] - 1], port: r });
  if (q[1] > other.protocol[1]) rest.push({ protocol: [other.protocol[1] + 1, q[1]], port: r });
  const protocol = [Math.max(q[0], other.protocol[0]), Math.min(q[1], other.protocol[1])] as const;
  if (r[0] < other.port[0]) rest.push({ protocol, port: [r[0], other.port[0] - 1] });
  if (r[1] > other.port[1]) rest.push({ protocol, port: [other.port[1] + 1, r[1]] });
  return rest;
}

function meets<T extends bigint | number>(a: Range<T>, b: Range<T>): boolean {
  return a[0] <= b[1] && b[0] <= a[1];
}
