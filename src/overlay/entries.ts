/**
 * What leads to the other nodes, as a set: FDB entries, neighbours and routes. Each entry has a value and a key, by
 * which the kernel tells entries apart. What the kernel has and what it should have are sets of the same kind, and the
 * work to do is their difference.
 */
import { hasCode } from '../error.ts';
import type { Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { RTPROT_OVERLAY } from '../rtnl/constants.ts';
import * as fdb from '../rtnl/fdb.ts';
import * as neigh from '../rtnl/neigh.ts';
import * as route from '../rtnl/route.ts';
import type { OverlayNetwork } from './network.ts';

/** In the order in which they are made. */
export const ENTRY_KINDS = ['fdb', 'neighbour', 'route'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/**
 * NB: classes implement it, so that 15,000 entries take a megabyte. With texts and functions of their own they took
 * twenty.
 */
export interface Entry {
  /** What the kernel tells entries apart by. */
  readonly key: string;
  readonly value: string;
  /** How sentences name it. */
  readonly name: string;
  put(): Request;
  drop(): Request;
}

/** By their keys. */
export type Entries = ReadonlyMap<string, Entry>;

/** An entry that is missing, has another value, or should not be there. */
export interface Difference {
  readonly sentence: string;
  readonly isRemoval: boolean;
  /** For the removal of a flood entry: the node that no longer gets frames to everybody. */
  readonly left?: Ip | undefined;
  request(): Request;
}

class Flood implements Entry {
  readonly value = '';
  readonly dst: Ip;
  readonly #link: number;

  constructor(link: number, dst: Ip) {
    this.#link = link;
    this.dst = dst;
  }

  get key(): string {
    return `flood ${this.dst}`;
  }

  get name(): string {
    return `the node ${this.dst} for frames to everybody`;
  }

  put(): Request {
    return fdb.append(this.#link, fdb.ANY_MAC, this.dst);
  }

  drop(): Request {
    return fdb.remove(this.#link, fdb.ANY_MAC, this.dst);
  }
}

class Station implements Entry {
  readonly #link: number;
  readonly #mac: Mac;
  readonly #dst: Ip;

  constructor(link: number, mac: Mac, dst: Ip) {
    this.#link = link;
    this.#mac = mac;
    this.#dst = dst;
  }

  get key(): string {
    return `fdb ${this.#mac}`;
  }

  get value(): string {
    return this.#dst.toString();
  }

  get name(): string {
    return `the FDB entry that leads ${this.#mac} to ${this.#dst}`;
  }

  put(): Request {
    return fdb.replace(this.#link, this.#mac, this.#dst);
  }

  drop(): Request {
    return fdb.remove(this.#link, this.#mac, this.#dst);
  }
}

class Neighbour implements Entry {
  readonly value: Mac;
  readonly #link: number;
  readonly #ip: Ip;

  constructor(link: number, ip: Ip, mac: Mac) {
    this.value = mac;
    this.#link = link;
    this.#ip = ip;
  }

  get key(): string {
    return `neighbour ${this.#ip}`;
  }

  get name(): string {
    return `the neighbour ${this.#ip} with the MAC ${this.value}`;
  }

  put(): Request {
    return neigh.replace(this.#link, this.#ip, this.value);
  }

  drop(): Request {
    return neigh.remove(this.#link, this.#ip);
  }
}

class Way implements Entry {
  readonly #spec: route.RouteSpec;

  constructor(spec: route.RouteSpec) {
    this.#spec = spec;
  }

  get key(): string {
    return `route ${this.#spec.dst} ${this.#spec.priority ?? 0}`;
  }

  get value(): string {
    return `${this.#spec.gateway}`;
  }

  get name(): string {
    return `the route to ${this.#spec.dst} by ${this.#spec.gateway}`;
  }

  put(): Request {
    return route.replace(this.#spec);
  }

  drop(): Request {
    return route.remove(this.#spec);
  }
}

/** An FDB entry of a tunnel; with ANY_MAC, one for frames to everybody. */
export function fdbEntry(link: number, mac: Mac, dst: Ip): Entry {
  return mac === fdb.ANY_MAC ? new Flood(link, dst) : new Station(link, mac, dst);
}

export function neighbourEntry(link: number, ip: Ip, mac: Mac): Entry {
  return new Neighbour(link, ip, mac);
}

export function routeEntry(spec: route.RouteSpec): Entry {
  return new Way(spec);
}

export function byKey(entries: Iterable<Entry>): Entries {
  const all = new Map<string, Entry>();
  for (const entry of entries) all.set(entry.key, entry);
  return all;
}

/**
 * The entries that the kernel has.
 * @param tunnel the index of the tunnel; undefined where there is none: then only routes lead to other nodes, over any
 * link
 * @param kinds the kinds to read
 */
export function readEntries(
  nl: NetlinkSocket,
  { mode, subnet }: Pick<OverlayNetwork, 'mode' | 'subnet'>,
  tunnel: number | undefined,
  kinds: readonly EntryKind[] = ENTRY_KINDS,
): Entries {
  return byKey(entriesOf(nl, mode, subnet, tunnel, kinds));
}

function* entriesOf(
  nl: NetlinkSocket,
  mode: OverlayNetwork['mode'],
  subnet: OverlayNetwork['subnet'],
  tunnel: number | undefined,
  kinds: readonly EntryKind[],
): Generator<Entry> {
  if (tunnel !== undefined && kinds.includes('fdb')) {
    for (const { mac, dst, isPermanent } of fdb.list(nl, tunnel)) if (isPermanent) yield fdbEntry(tunnel, mac, dst);
  }
  if (tunnel !== undefined && mode === 'l3' && kinds.includes('neighbour')) {
    for (const { ip, mac, state } of neigh.list(nl, { link: tunnel })) {
      if (mac !== undefined && (state & neigh.NUD.PERMANENT) !== 0) yield neighbourEntry(tunnel, ip, mac);
    }
  }
  if (mode === 'l2' || !kinds.includes('route')) return;
  const only = { protocol: RTPROT_OVERLAY, ...(tunnel !== undefined && { oif: tunnel }) };
  for (const each of route.list(nl, subnet.family, only)) if (subnet.contains(each.dst.ip)) yield routeEntry(each);
}

/**
 * The changes to make: first what is missing or different, in the order of `want`; then what is superfluous, in reverse
 * order.
 * @param want each entry is looked at once, and need not be kept
 */
export function* difference(have: Entries, want: Iterable<Entry>): Generator<Difference> {
  const wanted = new Set<string>();
  yield* missing(have, want, wanted);
  yield* extra(have, wanted);
}

/**
 * What is missing or different, one at a time: with thousands, nobody needs all of them at once.
 * @param wanted filled with the keys of `want`
 */
export function* missing(have: Entries, want: Iterable<Entry>, wanted: Set<string>): Generator<Difference> {
  for (const entry of want) {
    const { key } = entry;
    if (wanted.has(key)) continue;
    wanted.add(key);
    const found = have.get(key);
    if (found?.value !== entry.value) yield new Missing(entry, found);
  }
}

/** What the kernel has and nobody wants, in reverse order. */
export function extra(have: Entries, wanted: ReadonlySet<string>): Difference[] {
  const found: Difference[] = [];
  for (const [key, entry] of have) if (!wanted.has(key)) found.push(new Extra(entry));
  return found.reverse();
}

class Missing implements Difference {
  readonly isRemoval = false;
  readonly #entry: Entry;
  readonly #found: Entry | undefined;

  constructor(entry: Entry, found: Entry | undefined) {
    this.#entry = entry;
    this.#found = found;
  }

  get sentence(): string {
    const { name } = this.#entry;
    return this.#found === undefined ? `${name} is missing` : `${name} is there as ${this.#found.value}`;
  }

  request(): Request {
    return this.#entry.put();
  }
}

class Extra implements Difference {
  readonly isRemoval = true;
  readonly #entry: Entry;

  constructor(entry: Entry) {
    this.#entry = entry;
  }

  get sentence(): string {
    return `${this.#entry.name} leads nowhere any more`;
  }

  get left(): Ip | undefined {
    return this.#entry instanceof Flood ? this.#entry.dst : undefined;
  }

  request(): Request {
    return this.#entry.drop();
  }
}

/**
 * Forgets what a tunnel has learned from nodes that have left or moved. The kernel would keep sending there for 5
 * minutes, or until it hears from each station again. Frames to unknown stations go to everybody, and so arrive.
 */
export function forgetLearned(nl: NetlinkSocket, tunnel: number, nodes: readonly Ip[]): void {
  if (nodes.length === 0) return;
  const left = new Set(nodes.map(String));
  const learned = fdb.list(nl, tunnel).filter(({ isPermanent, dst }) => !isPermanent && left.has(`${dst}`));
  for (const error of nl.attempt(learned.map(({ mac, dst }) => fdb.remove(tunnel, mac, dst))).values()) {
    if (!hasCode(error, 'ENOENT', 'ENODEV')) throw error; // learned elsewhere meanwhile, or aged out
  }
}
