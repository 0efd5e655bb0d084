/**
 * Policy: which connections an endpoint may open (egress) and accept (ingress), by peer, protocol and port.
 *
 *   map policy-ingress4 { type ipv4_addr : verdict; elements = { 10.1.0.2 comment "net/container/eth0" : jump ingress4-9f3c } }
 *   set ingress4-9f3c { type ipv4_addr . inet_proto . inet_service; flags interval; elements = { 172.20.10.0/24 . tcp . 80-443 } }
 *   chain ingress4-9f3c {
 *     ct direction original ip saddr . meta l4proto . th dport @ingress4-9f3c return
 *     ct direction reply ip daddr . meta l4proto . th sport @ingress4-9f3c return
 *     goto policy-drop }
 *   chain policy { ct state untracked return; meta l4proto icmp ct state related return; ct direction reply goto policy-replies
 *     ip saddr vmap @policy-egress4; ip daddr vmap @policy-ingress4 }
 *   chain policy-replies { ip daddr vmap @policy-egress4; ip saddr vmap @policy-ingress4 }
 *
 * An endpoint has an element only if it is restricted. What is allowed is one chain and one set, named after a hash of
 * their content and shared by all endpoints with the same policy. So a packet needs a lookup in one hash and in one
 * small set for each direction, however many policies there are. The number of jumps to a chain is the number of
 * endpoints that have it; the last one removes it.
 *
 * Connection tracking says who opened a connection, not whether it may go on: a reply is judged by the same rule as the
 * request, with the ends exchanged. So when an allow is withdrawn, an established connection is cut at its next packet,
 * without a search for flows. A flow that the old and the new rules allow is not affected. The hooks come after the
 * translation of destinations and before that of sources, so they see the real peers. A packet that belongs to no
 * connection (invalid) matches no rule with a set, and so is dropped at an endpoint with a policy.
 *
 * Frames between ports of one bridge come to these hooks by br_netfilter (attach/policy.ts). It has connection
 * tracking, which the bridge family lacks in many kernels (CONFIG_NF_CONNTRACK_BRIDGE).
 */
import { ignoring } from '../error.ts';
import { fnv1a } from '../fnv.ts';
import { FAMILIES, type Family, Ip } from '../net/ip.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { commit } from './batch.ts';
import * as chain from './chain.ts';
import type { Verdict } from './data.ts';
import { concat as concatType, inetProto, inetService, ipv4Addr, ipv6Addr } from './datatype.ts';
import * as element from './element.ts';
import { unsupportedMeans } from './feature.ts';
import { concat } from './field.ts';
import { ct } from './fields/ct.ts';
import { daddrOf, saddrOf } from './fields/ip.ts';
import { meta } from './fields/meta.ts';
import { th } from './fields/transport.ts';
import { addressTaken, networkOf } from './holder.ts';
import { eq, has as hasBits, inSet, vmap } from './match.ts';
import { atGeneration, hasLayout, netloomTable, removeIfUnused, withRetries } from './netloom-table.ts';
import type { Box } from './policy-boxes.ts';
import * as rule from './rule.ts';
import * as set from './set.ts';
import type { Statement } from './statement.ts';
import { verdict } from './statements/verdict.ts';
import * as table from './table.ts';

export type Direction = 'egress' | 'ingress';
const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];

/** The policy of an endpoint's address. An undefined direction is not restricted; an empty list allows nothing. */
export interface Policed {
  readonly ip: Ip;
  readonly egress: readonly Box[] | undefined;
  readonly ingress: readonly Box[] | undefined;
  /** The holder: `network/container/ifname`. */
  readonly comment: string;
}

/** An endpoint's policy in one direction, as read from the kernel. */
export interface PolicedState {
  readonly ip: Ip;
  readonly direction: Direction;
  readonly comment: string;
  /** The name of its chain, and of the set with what is allowed. */
  readonly chain: string;
}

type Key = readonly [Ip, keyof typeof inetProto.numbers | number, number];

const LAYOUT = 'netloom policy, layout 1';
const main: chain.Chain = fixed('policy');
const replies: chain.Chain = fixed('policy-replies');
/** Every policy's chain ends in this one, so the number of its uses is the number of policies. */
const drops: chain.Chain = fixed('policy-drop');
const RULES_OF_DROPS = 1;
const forward: chain.Chain = baseOf('forward');
const bases: readonly chain.Chain[] = [forward, baseOf('input'), baseOf('output')];

const maps: Readonly<Record<Direction, Readonly<Record<Family, set.NftSet<Ip, Verdict>>>>> = {
  egress: { 4: mapOf('egress', 4), 6: mapOf('egress', 6) },
  ingress: { 4: mapOf('ingress', 4), 6: mapOf('ingress', 6) },
};
/**
 * NB: written out. The first flatMap() of a process costs 0.1 ms, and all calls that remove an endpoint load this
 * module.
 */
const allMaps = [maps.egress[4], maps.egress[6], maps.ingress[4], maps.ingress[6]];

/**
 * Replaces the policies of endpoints, all at the same moment.
 * @throws NetloomError EEXIST if another network has an address
 */
export function apply(nft: NetlinkSocket, entries: readonly Policed[]): void {
  let former: string[] = [];
  withRetries('set a policy', () => {
    const planned = plan(nft, entries);
    former = planned.former;
    if (planned.requests.length === 0) return;
    const makesAll = planned.requests.some(({ kind }) => kind.name === 'table');
    try {
      commit(nft, planned.requests);
    } catch (error) {
      throw (makesAll && error instanceof NetlinkError && unsupportedMeans(error)) || error;
    }
  });
  for (const name of former) sweepChain(nft, name);
  if (former.length > 0) sweep(nft);
}

/** The requests of apply(), as one batch, and the chains that may be unused afterwards. */
function plan(nft: NetlinkSocket, entries: readonly Policed[]): { requests: Request[]; former: string[] } {
  const isThere = hasLayout(nft, forward);
  const [making, changing, former]: [Request[], Request[], string[]] = [[], [], []];
  const made = new Set<string>();
  for (const entry of entries) {
    for (const direction of DIRECTIONS) {
      const map = maps[direction][entry.ip.family];
      const found = isThere ? element.get(nft, map, entry.ip) : undefined;
      if (found !== undefined && networkOf(found.comment) !== networkOf(entry.comment))
        throw addressTaken(`set the policy of ${entry.ip} for "${entry.comment}"`, found.comment);
      const boxes = entry[direction];
      const name = boxes && chainName(direction, entry.ip.family, boxes);
      const had = jumpOf(found?.data);
      if (had === name && (name === undefined || found?.comment === entry.comment)) continue;
      if (found !== undefined) changing.push(element.remove(map, entry.ip));
      if (had !== undefined && had !== name) former.push(had);
      if (name === undefined || boxes === undefined) continue;
      if (!made.has(name) && chain.get(nft, regular(name)) === undefined) {
        making.push(...chainRequests(direction, entry.ip.family, name, boxes));
        made.add(name);
      }
      changing.push(element.create(map, { key: entry.ip, data: { jump: name }, comment: entry.comment }));
    }
  }
  const requests = [...making, ...changing, ...lastUses(nft, former)];
  return { requests: requests.length > 0 && !isThere ? [...baseRequests(), ...requests] : requests, former };
}

/**
 * Removes the policy of an owner's address. Does nothing if there is none, or if another holder has it by now.
 * @returns whether there was one
 */
export function remove(nft: NetlinkSocket, { ip, comment }: Pick<Policed, 'ip' | 'comment'>): boolean {
  let wasThere = false;
  for (const direction of DIRECTIONS) {
    const map = maps[direction][ip.family];
    let name: string | undefined;
    withRetries(`end the policy of ${ip}`, () => {
      const found = element.get(nft, map, ip);
      name = found?.comment === comment ? jumpOf(found.data) : undefined;
      if (name !== undefined) commit(nft, [element.remove(map, ip), ...lastUses(nft, [name])]);
    });
    if (name === undefined) continue;
    wasThere = true;
    sweepChain(nft, name);
  }
  return wasThere;
}

/**
 * Removes everything if no policy is left. Safe at any time, even while other processes change the table.
 * @param isThorough also looks for policies without an endpoint, which remain if a process is killed halfway
 */
export function sweep(nft: NetlinkSocket, isThorough = false): void {
  if (isThorough && chain.get(nft, main) !== undefined) {
    for (const { name } of chain.list(nft, netloomTable)) if (isPolicyName(name)) sweepChain(nft, name);
  }
  let isUsed = true;
  // EBUSY: somebody's own rule jumps to a chain of ours or looks into a set. Then everything stays.
  ignoring(['EBUSY'], () =>
    atGeneration(nft, () => {
      const found = chain.get(nft, drops);
      isUsed = found === undefined ? false : found.use > RULES_OF_DROPS;
      return found === undefined || isUsed ? [] : removalOfAll(nft);
    }),
  );
  if (!isUsed) removeIfUnused(nft);
}

/** Whether the kernel has it, for CHECK. */
export function has(nft: NetlinkSocket, entry: Policed): boolean {
  return DIRECTIONS.every((direction) => {
    const boxes = entry[direction];
    const found = element.get(nft, maps[direction][entry.ip.family], entry.ip);
    const isOurs = found?.comment === entry.comment;
    if (boxes === undefined) return !isOurs;
    const name = chainName(direction, entry.ip.family, boxes);
    const use = chain.get(nft, regular(name))?.use ?? 0;
    return isOurs && jumpOf(found?.data) === name && use > rulesOfChain(name);
  });
}

/** All policies, for GC and for people to see. */
export function list(nft: NetlinkSocket): PolicedState[] {
  if (table.get(nft, netloomTable) === undefined) return [];
  return DIRECTIONS.flatMap((direction) =>
    FAMILIES.flatMap((family) => {
      let elements: element.ElementState<Ip, Verdict>[] = [];
      ignoring(['ENOENT'], () => {
        elements = element.list<Ip, Verdict>(nft, maps[direction][family]);
      });
      return elements.map(({ key, data, comment = '' }) => ({
        ip: key,
        direction,
        comment,
        chain: jumpOf(data) ?? '',
      }));
    }),
  );
}

/** What a policy from list() allows. */
export function allowed(nft: NetlinkSocket, { ip, chain: name }: PolicedState): Box[] {
  let elements: element.ElementState<Key, never>[] = [];
  ignoring(['ENOENT'], () => {
    elements = element.list<Key>(nft, setOf(name, ip.family));
  });
  const number = (protocol: Key[1]) => (typeof protocol === 'number' ? protocol : inetProto.numbers[protocol]);
  return elements.map(({ key, last = key }) => ({
    peer: [key[0].toBigInt(), last[0].toBigInt()],
    protocol: [number(key[1]), number(last[1])],
    port: [key[2], last[2]],
  }));
}

function baseRequests(): Request[] {
  const jump = verdict({ jump: main.name });
  return [
    table.add(netloomTable),
    ...allMaps.map((each) => set.create(each)),
    ...[drops, replies, main, ...bases].map((each) => chain.create(each)),
    rule.add(drops, [verdict('drop')]),
    rule.add(main, [hasBits(ct.state, 'untracked'), verdict('return')]),
    ...(['icmp', 'ipv6-icmp'] as const).map((protocol) =>
      rule.add(main, [eq(meta.l4proto, protocol), hasBits(ct.state, 'related'), verdict('return')]),
    ),
    rule.add(main, [eq(ct.direction, 'reply'), verdict({ goto: replies.name })]),
    ...FAMILIES.flatMap((family) => [
      rule.add(main, [vmap(saddrOf(family), maps.egress[family])]),
      rule.add(main, [vmap(daddrOf(family), maps.ingress[family])]),
      rule.add(replies, [vmap(daddrOf(family), maps.egress[family])]),
      rule.add(replies, [vmap(saddrOf(family), maps.ingress[family])]),
    ]),
    ...bases.map((each) => rule.add(each, [jump])),
  ];
}

function removalOfAll(nft: NetlinkSocket): Request[] {
  const there = new Set(set.list(nft, netloomTable).map(({ name }) => name));
  return [
    ...[...bases, main, replies].filter((each) => chain.get(nft, each)).map((each) => chain.remove(each)),
    ...allMaps.filter(({ name }) => there.has(name)).map((each) => set.remove(each)),
    chain.remove(drops),
  ];
}

function chainRequests(direction: Direction, family: Family, name: string, boxes: readonly Box[]): Request[] {
  const target = regular(name);
  const allows = setOf(name, family);
  const ip = (value: bigint) => Ip.fromBigInt(family, value);
  return [
    ...(boxes.length === 0 ? [] : [set.create(allows)]),
    ...element.addAll<Key>(
      allows,
      boxes.map(({ peer, protocol, port }) => ({
        key: [ip(peer[0]), protocol[0], port[0]],
        last: [ip(peer[1]), protocol[1], port[1]],
      })),
    ),
    chain.create(target),
    ...rules(direction, family, allows, boxes).map((statements) => rule.add(target, statements)),
  ];
}

function rules(direction: Direction, family: Family, allows: set.NftSet<Key>, boxes: readonly Box[]): Statement[][] {
  const [begun, answered] =
    direction === 'egress' ? [daddrOf(family), saddrOf(family)] : [saddrOf(family), daddrOf(family)];
  const ways = [
    ['original', begun, th.dport],
    ['reply', answered, th.sport],
  ] as const;
  return [
    ...(boxes.length === 0 ? [] : ways).map(([way, peer, port]) => [
      eq(ct.direction, way),
      inSet(concat<Key>(peer, meta.l4proto, port), allows),
      verdict('return'),
    ]),
    [verdict({ goto: drops.name })],
  ];
}

/**
 * The requests that remove policies with the last elements that jump to them. They are in the same batch as those, so a
 * process that is killed leaves no policy without an endpoint. If another process adds an endpoint in the meantime, the
 * kernel refuses the whole batch.
 * @param names the chain of each element that is removed
 */
function lastUses(nft: NetlinkSocket, names: readonly string[]): Request[] {
  return [...new Set(names)].flatMap((name) => {
    const going = names.filter((each) => each === name).length;
    const uses = chain.get(nft, regular(name))?.use;
    return uses === rulesOfChain(name) + going ? chainRemoval(name) : [];
  });
}

/** Removes a policy that no endpoint has any more. It remains if the last two endpoints go at the same moment. */
function sweepChain(nft: NetlinkSocket, name: string): void {
  const found = chain.get(nft, regular(name));
  if (found === undefined || found.use > rulesOfChain(name)) return;
  ignoring(['ENOENT', 'EBUSY'], () => commit(nft, chainRemoval(name)));
}

function chainRemoval(name: string): Request[] {
  return [chain.remove(regular(name)), ...(hasSet(name) ? [set.remove(setOf(name, familyOf(name)))] : [])];
}

/** A policy that allows nothing has no set. */
function hasSet(name: string): boolean {
  return name !== chainName(directionOf(name), familyOf(name), []);
}

function rulesOfChain(name: string): number {
  return hasSet(name) ? 3 : 1;
}

function chainName(direction: Direction, family: Family, boxes: readonly Box[]): string {
  const content = boxes.map(({ peer, protocol, port }) => `${peer.join('-')} ${protocol.join('-')} ${port.join('-')}`);
  return `${direction}${family}-${fnv1a(content.sort().join('\n'))}`;
}

function isPolicyName(name: string): boolean {
  return DIRECTIONS.some((direction) => FAMILIES.some((family) => name.startsWith(`${direction}${family}-`)));
}

function directionOf(name: string): Direction {
  return name.startsWith('egress') ? 'egress' : 'ingress';
}

function familyOf(name: string): Family {
  return name.startsWith(`${directionOf(name)}4`) ? 4 : 6;
}

function regular(name: string): chain.Chain {
  return { table: netloomTable, name, comment: 'a policy' };
}

function fixed(name: string): chain.Chain {
  return { table: netloomTable, name, comment: LAYOUT };
}

function baseOf(hook: 'forward' | 'input' | 'output'): chain.Chain {
  return { ...fixed(`policy-${hook}`), base: { type: 'filter', hook, priority: chain.PRIORITY.filter } };
}

function mapOf(direction: Direction, family: Family): set.NftSet<Ip, Verdict> {
  const key = family === 4 ? ipv4Addr : ipv6Addr;
  return { table: netloomTable, name: `policy-${direction}${family}`, key, data: 'verdict', comment: 'endpoints' };
}

function setOf(name: string, family: Family): set.NftSet<Key> {
  const key = concatType<Key>(family === 4 ? ipv4Addr : ipv6Addr, inetProto, inetService);
  return { table: netloomTable, name, key, interval: true, comment: 'peers' };
}

function jumpOf(data: Verdict | undefined): string | undefined {
  return typeof data === 'object' && 'jump' in data ? data.jump : undefined;
}
