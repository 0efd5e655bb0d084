/**
 * Forwarding: what an endpoint may send and receive through this host.
 *
 *   map forward4 { type ipv4_addr : verdict; elements = { 10.1.0.2 comment "net/container/eth0" : jump forwarded } }
 *   chain forwarded { meta mark set meta mark | 0x1000 }
 *   chain firewall { type filter hook forward priority filter - 10
 *     iifname . oifname @firewall-isolated drop
 *     iifname @firewall-internal iifname . oifname != @firewall-within drop; the same for oifname
 *     iifname @firewall-fenced oifname @firewall-fenced iifname . oifname != @firewall-within drop
 *     ip saddr vmap @forward4
 *     ct state established,related ip daddr vmap @forward4
 *     ct status dnat ip daddr vmap @forward4 }
 *   chain firewall-end { type filter hook forward priority filter + 10; meta mark & 0x1000 == 0x1000 meta mark set meta mark & 0xffffefff }
 *
 * No verdict here accepts a packet for good. Allowed packets get a mark. Where iptables' FORWARD chain drops the rest,
 * a rule in it accepts this mark (iptables-forward.ts). An endpoint may send; it receives only replies and the
 * connections of port maps.
 *
 * An endpoint is one element for each address. An interface whose traffic is restricted (`ingressPolicy`, `internal`)
 * is an element as well and stands for all endpoints behind it. Such an interface has a chain of its own, `fw-cni0`,
 * that the elements of its endpoints jump to. The number of jumps to a chain is the number of its endpoints: the last
 * endpoint of an interface removes that interface's elements, the last of all removes everything.
 */
import { ignoring } from '../error.ts';
import { FAMILIES, type Family, type Ip } from '../net/ip.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { commit } from './batch.ts';
import * as chain from './chain.ts';
import type { Verdict } from './data.ts';
import { concat as concatType, ifname, ipv4Addr, ipv6Addr } from './datatype.ts';
import * as element from './element.ts';
import { unsupportedMeans } from './feature.ts';
import { concat } from './field.ts';
import { ct } from './fields/ct.ts';
import { daddrOf, saddrOf } from './fields/ip.ts';
import { meta } from './fields/meta.ts';
import { addressTaken } from './holder.ts';
import * as iptablesForward from './iptables-forward.ts';
import { closeLegacyWays } from './legacy-forward.ts';
import { has as hasBits, inSet, masked, notInSet, vmap } from './match.ts';
import { atGeneration, hasLayout, netloomTable, removeIfUnused, withRetries } from './netloom-table.ts';
import * as rule from './rule.ts';
import * as set from './set.ts';
import { keepBits, setBits } from './statements/mark.ts';
import { verdict } from './statements/verdict.ts';
import * as table from './table.ts';

/** Restrictions for all endpoints behind an interface of the host. */
export interface Fence {
  /** The interface that routes their packets: the bridge, or the host's end of a wire. */
  readonly ifname: string;
  /**
   * `same-bridge`: nothing from or to other fenced interfaces. `isolated`: also nothing between endpoints behind it.
   */
  readonly ingress: 'open' | 'same-bridge' | 'isolated';
  /** Nothing in from other interfaces, and nothing out to them. */
  readonly internal: boolean;
}

/** An endpoint's address that may be forwarded. */
export interface Forwarding {
  readonly ip: Ip;
  readonly fence?: Fence | undefined;
  /** The holder: `network/container/ifname`. */
  readonly comment: string;
}

const base: chain.Chain = {
  table: netloomTable,
  name: 'firewall',
  base: { type: 'filter', hook: 'forward', priority: chain.PRIORITY.filter - 10 },
  comment: 'netloom firewall, layout 1',
};
/** Runs after iptables' chain and clears the mark, which nobody needs then. */
const end: chain.Chain = {
  ...base,
  name: 'firewall-end',
  base: { type: 'filter', hook: 'forward', priority: chain.PRIORITY.filter + 10 },
};
/** Every allowed packet passes this chain. Its uses are counted, so it must have exactly one rule. */
const forwarded: chain.Chain = { table: netloomTable, name: 'forwarded', comment: 'netloom firewall, layout 1' };
const RULES_OF_A_CHAIN = 1;

const maps: Readonly<Record<Family, set.NftSet<Ip, Verdict>>> = {
  4: { table: netloomTable, name: 'forward4', key: ipv4Addr, data: 'verdict', comment: 'endpoints' },
  6: { table: netloomTable, name: 'forward6', key: ipv6Addr, data: 'verdict', comment: 'endpoints' },
};

type Pair = readonly [string, string];
const pair = concatType<Pair>(ifname, ifname);
const internal = nameSet('firewall-internal', 'nothing in, nothing out');
const fenced = nameSet('firewall-fenced', 'nothing from one to another');
const isolated = pairSet('firewall-isolated', 'nothing within');
/** Each interface of the sets above, paired with itself: nftables cannot compare two fields. */
const within = pairSet('firewall-within', 'what stays behind one interface');

const sets: readonly set.AnySet[] = [maps[4], maps[6], internal, fenced, isolated, within];

const CHAIN_PREFIX = 'fw-';

/**
 * Allows an endpoint's address to be forwarded. Does nothing if it already is.
 * @throws NetloomError EEXIST if another holder has the address and its element jumps to another chain; with the same
 * chain that element is a left-over and is replaced
 */
export function add(nft: NetlinkSocket, entry: Forwarding, adminChain: string): void {
  withRetries(`allow ${entry.ip} to be forwarded`, () => {
    const requests = plan(nft, entry, adminChain);
    if (requests.length === 0) return;
    const makesAll = requests.some(({ kind }) => kind.name === 'table');
    try {
      commit(nft, requests);
    } catch (error) {
      throw (makesAll && error instanceof NetlinkError && unsupportedMeans(error)) || error;
    }
  });
}

/** The requests of add(): what is missing, as one batch. */
function plan(nft: NetlinkSocket, entry: Forwarding, adminChain: string): Request[] {
  const { ip, comment } = entry;
  const map = maps[ip.family];
  const target = chainOf(entry.fence);
  const wanted = element.create(map, { key: ip, data: { jump: target.name }, comment });
  const isThere = hasLayout(nft, base);
  const found = isThere ? element.get(nft, map, ip) : undefined;
  if (found !== undefined && found.comment !== comment && !isJumpTo(found.data, target))
    throw addressTaken(`allow ${ip} of "${comment}" to be forwarded`, found.comment);
  const isRight = found?.comment === comment && isJumpTo(found.data, target);
  return [
    ...(isThere ? [] : baseRequests()),
    ...fenceRequests(nft, entry.fence),
    ...iptablesForward.missing(nft, adminChain),
    ...(found !== undefined && !isRight ? [element.remove(map, ip)] : []),
    ...(isRight ? [] : [wanted]),
  ];
}

/**
 * Removes an endpoint's element, and with the last one behind an interface the chain and the elements of that
 * interface. An element that another holder has by now stays. The rest is for sweep().
 * @returns whether the endpoint had an element
 */
export function remove(nft: NetlinkSocket, entry: Forwarding): boolean {
  const { ip, comment } = entry;
  const map = maps[ip.family];
  const found = element.get(nft, map, ip);
  if (found?.comment === comment) ignoring(['ENOENT'], () => commit(nft, [element.remove(map, ip)]));
  const target = found === undefined ? chainOf(entry.fence).name : jumpOf(found.data);
  if (target !== undefined && target !== forwarded.name) sweepFence(nft, target.slice(CHAIN_PREFIX.length));
  return found?.comment === comment;
}

/**
 * Removes everything if no endpoint is left. Safe at any time, even while other processes change the table.
 * @param isThorough also looks for interfaces without an endpoint, which remain if a process is killed halfway
 */
export function sweep(nft: NetlinkSocket, isThorough: boolean): void {
  if (isThorough && chain.get(nft, forwarded) !== undefined) {
    for (const { name } of chain.list(nft, netloomTable)) {
      if (name.startsWith(CHAIN_PREFIX)) sweepFence(nft, name.slice(CHAIN_PREFIX.length));
    }
  }
  let isUsed = true;
  // EBUSY: somebody's own rule jumps to a chain of ours or looks into a set. Then everything stays.
  ignoring(['EBUSY'], () =>
    atGeneration(nft, () => {
      const found = chain.get(nft, forwarded);
      isUsed = found !== undefined && found.use > RULES_OF_A_CHAIN;
      if (isUsed) return [];
      return [...(found === undefined ? [] : removalOfAll(nft)), ...iptablesForward.present(nft)];
    }),
  );
  if (isUsed) return;
  removeIfUnused(nft);
  closeLegacyWays(() => (chain.get(nft, forwarded)?.use ?? 0) > RULES_OF_A_CHAIN);
}

/** What is missing in the kernel, in sentences, for CHECK. */
export function differences(nft: NetlinkSocket, entry: Forwarding, adminChain: string): string[] {
  const { ip, fence, comment } = entry;
  const found = element.get(nft, maps[ip.family], ip);
  const isThere = found !== undefined && found.comment === comment && isJumpTo(found.data, chainOf(fence));
  return [
    ...(isThere ? [] : [`the address ${ip} is not allowed to be forwarded`]),
    ...(fenceElements(nft, fence).length === 0 ? [] : [`"${fence?.ifname}" is not held back as configured`]),
    ...(iptablesForward.missing(nft, adminChain).length === 0
      ? []
      : ['the rules in the chain FORWARD of iptables are not complete']),
  ];
}

/** All endpoints, for GC and for a DEL without a result. Without their fences. */
export function list(nft: NetlinkSocket): Forwarding[] {
  if (table.get(nft, netloomTable) === undefined) return [];
  return FAMILIES.flatMap((family) => {
    let elements: element.ElementState<Ip, Verdict>[] = [];
    ignoring(['ENOENT'], () => {
      elements = element.list<Ip, Verdict>(nft, maps[family]);
    });
    return elements.map(({ key, comment = '' }) => ({ ip: key, comment }));
  });
}

function baseRequests(): Request[] {
  const way = concat<Pair>(meta.iifname, meta.oifname);
  const drop = verdict('drop');
  return [
    table.add(netloomTable),
    ...sets.map((each) => set.create(each)),
    ...[base, end, forwarded].map((each) => chain.create(each)),
    rule.add(forwarded, [setBits('meta', iptablesForward.FORWARD_MARK)]),
    rule.add(base, [inSet(way, isolated), drop]),
    rule.add(base, [inSet(meta.iifname, internal), notInSet(way, within), drop]),
    rule.add(base, [inSet(meta.oifname, internal), notInSet(way, within), drop]),
    rule.add(base, [inSet(meta.iifname, fenced), inSet(meta.oifname, fenced), notInSet(way, within), drop]),
    ...FAMILIES.flatMap((family) => [
      rule.add(base, [vmap(saddrOf(family), maps[family])]),
      rule.add(base, [hasBits(ct.state, 'established', 'related'), vmap(daddrOf(family), maps[family])]),
      rule.add(base, [hasBits(ct.status, 'dnat'), vmap(daddrOf(family), maps[family])]),
    ]),
    rule.add(end, [
      masked(meta.mark, iptablesForward.FORWARD_MARK, iptablesForward.FORWARD_MARK),
      keepBits('meta', ~iptablesForward.FORWARD_MARK >>> 0),
    ]),
  ];
}

/** Removes those objects that exist: somebody may have removed some by hand. */
function removalOfAll(nft: NetlinkSocket): Request[] {
  const there = new Set(set.list(nft, netloomTable).map(({ name }) => name));
  return [
    ...[base, end].filter((each) => chain.get(nft, each)).map((each) => chain.remove(each)),
    ...sets.filter(({ name }) => there.has(name)).map((each) => set.remove(each)),
    chain.remove(forwarded),
  ];
}

/** The requests for the chain and the elements of a fence, if they are missing. */
function fenceRequests(nft: NetlinkSocket, fence: Fence | undefined): Request[] {
  const target = chainOf(fence);
  if (target.name === forwarded.name) return [];
  const isThere = chain.get(nft, target) !== undefined;
  return [
    ...(isThere ? [] : [chain.create(target), rule.add(target, [verdict({ jump: forwarded.name })])]),
    ...fenceElements(nft, fence),
  ];
}

/** NB: what one network asks for an interface applies to all endpoints behind it, until the last one is gone. */
function fenceElements(nft: NetlinkSocket, fence: Fence | undefined): Request[] {
  if (fence === undefined || !isHeldBack(fence)) return [];
  const { ifname: name, ingress } = fence;
  const names = [...(fence.internal ? [internal] : []), ...(ingress === 'open' ? [] : [fenced])];
  const pairs = [within, ...(ingress === 'isolated' ? [isolated] : [])];
  return [
    ...names
      .filter((each) => element.get(nft, each, name) === undefined)
      .map((each) => element.add(each, { key: name })),
    ...pairs
      .filter((each) => element.get(nft, each, [name, name]) === undefined)
      .map((each) => element.add(each, { key: [name, name] })),
  ];
}

/**
 * Removes the chain and the elements of an interface if no endpoint is left behind it. If another process adds an
 * endpoint in the meantime, the kernel refuses the batch.
 */
function sweepFence(nft: NetlinkSocket, name: string): void {
  const target = fenceChain(name);
  const found = chain.get(nft, target);
  if (found === undefined || found.use > RULES_OF_A_CHAIN) return;
  ignoring(['ENOENT', 'EBUSY'], () =>
    commit(nft, [
      chain.remove(target),
      ...[internal, fenced].filter((each) => element.get(nft, each, name)).map((each) => element.remove(each, name)),
      ...[within, isolated]
        .filter((each) => element.get(nft, each, [name, name]))
        .map((each) => element.remove(each, [name, name])),
    ]),
  );
}

function chainOf(fence: Fence | undefined): chain.Chain {
  return fence === undefined || !isHeldBack(fence) ? forwarded : fenceChain(fence.ifname);
}

function fenceChain(name: string): chain.Chain {
  return { table: netloomTable, name: `${CHAIN_PREFIX}${name}`, comment: `what is behind ${name}` };
}

function isHeldBack({ ingress, internal: isInternal }: Fence): boolean {
  return isInternal || ingress !== 'open';
}

function jumpOf(data: Verdict | undefined): string | undefined {
  return typeof data === 'object' && 'jump' in data ? data.jump : undefined;
}

function isJumpTo(data: Verdict | undefined, target: chain.Chain): boolean {
  return jumpOf(data) === target.name;
}

function nameSet(name: string, comment: string): set.NftSet<string> {
  return { table: netloomTable, name, key: ifname, comment };
}

function pairSet(name: string, comment: string): set.NftSet<Pair> {
  return { table: netloomTable, name, key: pair, comment };
}
