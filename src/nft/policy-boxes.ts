/**
 * What a policy allows in one direction and one family, as boxes: ranges of peers, of protocols and of ports. Rules may overlap, elements of a set may
 * not, so a set gets boxes of which none overlaps another.
 */
import { bitsOf, type Family } from '../net/ip.ts';

type Range<T> = readonly [first: T, last: T];

export interface Box {
  /** Addresses as numbers. */
  readonly peer: Range<bigint>;
  readonly protocol: Range<number>;
  /** 0 to 65535 where the rule names none, and for protocols without ports. */
  readonly port: Range<number>;
}

export const ANY_PROTOCOL: Range<number> = [0, 255];
export const ANY_PORT: Range<number> = [0, 65_535];

/** All there is. */
export function everything(family: Family): Box {
  return { peer: [0n, (1n << BigInt(bitsOf(family))) - 1n], protocol: ANY_PROTOCOL, port: ANY_PORT };
}

/** What at least one of them has, each part once. Only boxes whose peers meet are compared: a policy may name ten thousand that do not. */
export function union(boxes: readonly Box[]): Box[] {
  return groupsByPeer(boxes).flatMap((group) => {
    const result: Box[] = [];
    for (const box of group) result.push(...subtract([box], result));
    return result;
  });
}

/** What is in one of these and in none of those. */
export function subtract(these: readonly Box[], those: readonly Box[]): Box[] {
  let rest = [...these];
  for (const other of those) {
    if (rest.some((box) => overlap(box, other))) rest = rest.flatMap((box) => cut(box, other));
  }
  return rest;
}

/** Whether boxes of which none overlaps another are all there is. */
export function isEverything(boxes: readonly Box[], family: Family): boolean {
  return boxes.reduce((sum, box) => sum + sizeOf(box), 0n) === sizeOf(everything(family));
}

function sizeOf({ peer, protocol, port }: Box): bigint {
  return (peer[1] - peer[0] + 1n) * BigInt((protocol[1] - protocol[0] + 1) * (port[1] - port[0] + 1));
}

/** Boxes that have no peer in common are in groups of their own. Within a group they stay in their order. */
function groupsByPeer(boxes: readonly Box[]): Box[][] {
  const sorted = [...boxes.entries()].sort(([, { peer: a }], [, { peer: b }]) =>
    a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0,
  );
  const groups: [number, Box][][] = [];
  let last = -1n;
  for (const entry of sorted) {
    const { peer } = entry[1];
    if (peer[0] > last) groups.push([]);
    groups.at(-1)?.push(entry);
    last = max(last, peer[1]);
  }
  return groups.map((group) => group.sort(([a], [b]) => a - b).map(([, box]) => box));
}

/** Whether there is something in both. */
export function overlap(a: Box, b: Box): boolean {
  return meets(a.peer, b.peer) && meets(a.protocol, b.protocol) && meets(a.port, b.port);
}

/** A box without another: what is below and above in one dimension after the other. */
function cut(box: Box, other: Box): Box[] {
  if (!overlap(box, other)) return [box];
  const rest: Box[] = [];
  const { peer: p, protocol: q, port: r } = box;
  if (p[0] < other.peer[0]) rest.push({ ...box, peer: [p[0], other.peer[0] - 1n] });
  if (p[1] > other.peer[1]) rest.push({ ...box, peer: [other.peer[1] + 1n, p[1]] });
  const peer = [max(p[0], other.peer[0]), min(p[1], other.peer[1])] as const;
  if (q[0] < other.protocol[0]) rest.push({ ...box, peer, protocol: [q[0], other.protocol[0] - 1] });
  if (q[1] > other.protocol[1]) rest.push({ ...box, peer, protocol: [other.protocol[1] + 1, q[1]] });
  const protocol = [max(q[0], other.protocol[0]), min(q[1], other.protocol[1])] as const;
  if (r[0] < other.port[0]) rest.push({ peer, protocol, port: [r[0], other.port[0] - 1] });
  if (r[1] > other.port[1]) rest.push({ peer, protocol, port: [other.port[1] + 1, r[1]] });
  return rest;
}

function meets<T extends bigint | number>(a: Range<T>, b: Range<T>): boolean {
  return a[0] <= b[1] && b[0] <= a[1];
}

function max<T extends bigint | number>(a: T, b: T): T {
  return a > b ? a : b;
}

function min<T extends bigint | number>(a: T, b: T): T {
  return a < b ? a : b;
}
