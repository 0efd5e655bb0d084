/**
 * The limit of one direction, at the root of a link. Packets to the container leave by the host's end of the veth.
 * Packets from it come in there, where they cannot be queued, so an ifb sends them out first.
 *
 * Without subnets it is one token bucket (tbf). With subnets it is a hierarchy (htb) of two classes, one with the limit
 * and one without, and a filter for each subnet that selects the class.
 */
import type { Request } from '../../netlink/message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as tcClass from '../../rtnl/tc/class.ts';
import * as filter from '../../rtnl/tc/filter.ts';
import { handle, TC_H } from '../../rtnl/tc/message.ts';
import * as qdisc from '../../rtnl/tc/qdisc.ts';
import { sizeOf, ticksOf } from '../../rtnl/tc/rate.ts';
import type { Limit, Shaping } from './conf.ts';

/** The handle of the discipline that we put at a root; that of the reference is the same. */
export const ROOT_HANDLE = handle(1);
/** The two classes, with the reference's numbers. */
const OPEN_CLASS = 0x1;
const SHAPED_CLASS = 0x30;
/** The rate of the class without a limit, in bytes a second: 1 Tbit/s. */
const OPEN = { rate: 125_000_000_000n, burst: 1 << 20 };
/** How long bytes may wait before more are dropped, in milliseconds: the reference's. */
const LATENCY_MS = 25n;
const LIMIT_MAX = 0xffffffffn;

/**
 * Which address of a packet is the peer's: the source of a packet to the container, the destination of a packet from
 * it.
 */
export type PeerSide = 'src' | 'dst';

/** The requests that limit what leaves a link. */
export function shape(link: number, limit: Limit, peers: Shaping['peers'], side: PeerSide): Request[] {
  if (peers === undefined) return [qdisc.addTokenBucket(link, ROOT_HANDLE, bucketOf(limit))];
  return [
    qdisc.addHierarchy(link, ROOT_HANDLE, defaultClassOf(peers)),
    ...classesOf(link, limit).map(tcClass.add),
    ...filtersOf(link, peers, side).map(filter.addU32),
  ];
}

/** How a link differs from what shape() makes, in sentences. */
export function shapeDifferences(
  nl: NetlinkSocket,
  { index, name }: { readonly index: number; readonly name: string },
  limit: Limit,
  peers: Shaping['peers'],
  side: PeerSide,
): string[] {
  const found = qdisc.find(nl, index, TC_H.ROOT);
  const kind = peers === undefined ? 'tbf' : 'htb';
  if (found?.kind !== kind || found.handle !== ROOT_HANDLE)
    return [`"${name}" has the queueing discipline ${found?.kind ?? 'none'} at its root, expected ${kind}`];
  if (peers === undefined) return bucketDifferences(name, found.tbf, bucketOf(limit));
  const classes = tcClass.list(nl, index);
  const filters = filter.list(nl, index, ROOT_HANDLE).map(filterText);
  return [
    ...(found.defaultClass === defaultClassOf(peers) ? [] : [`"${name}" shapes other peers than those asked for`]),
    ...classesOf(index, limit).flatMap((wanted) => {
      const have = classes.find((each) => each.handle === wanted.handle);
      return have?.rate === wanted.rate && isNear(have.burst, wanted.burst, wanted.rate)
        ? []
        : [`"${name}" has a class of ${have?.rate ?? 0} bytes a second, expected ${wanted.rate}`];
    }),
    ...filtersOf(index, peers, side)
      .map(filterText)
      .filter((wanted) => !filters.includes(wanted))
      .map((wanted) => `"${name}" lacks the filter ${wanted}`),
  ];
}

function bucketOf({ rate, burst }: Limit): qdisc.TokenBucket {
  const limit = (rate * LATENCY_MS) / 1000n + BigInt(burst);
  return { rate, burst, limit: Number(limit > LIMIT_MAX ? LIMIT_MAX : limit) };
}

function bucketDifferences(name: string, have: qdisc.TokenBucket | undefined, want: qdisc.TokenBucket): string[] {
  if (have?.rate !== want.rate)
    return [`"${name}" is limited to ${have?.rate ?? 0} bytes a second, expected ${want.rate}`];
  if (!isNear(have.burst, want.burst, want.rate))
    return [`"${name}" has a burst of ${have.burst} bytes, expected ${want.burst}`];
  return have.limit === want.limit ? [] : [`"${name}" lets ${have.limit} bytes wait, expected ${want.limit}`];
}

/** Whether a burst is the wanted one. The kernel keeps it as a time, in units of 64 ns and modulo 274 s. */
function isNear(have: number, want: number, rate: bigint): boolean {
  const span = sizeOf(2 ** 32, rate);
  const distance = Math.abs((have % span) - (want % span));
  return Math.min(distance, span - distance) <= 1 + want / 1000 + sizeOf(2, rate);
}

function defaultClassOf(peers: NonNullable<Shaping['peers']>): number {
  return peers.areShaped ? OPEN_CLASS : SHAPED_CLASS;
}

function classesOf(link: number, limit: Limit): tcClass.ClassSpec[] {
  const common = { link, parent: ROOT_HANDLE };
  return [
    { ...common, handle: handle(1, OPEN_CLASS), ...OPEN },
    {
      ...common,
      handle: handle(1, SHAPED_CLASS),
      ...limit,
      burst: sizeOf(ticksOf(limit.burst, limit.rate), limit.rate),
    },
  ];
}

/** NB: filters of one priority have one protocol, so each family has its own. */
function filtersOf(link: number, peers: NonNullable<Shaping['peers']>, side: PeerSide): filter.FilterSpec[] {
  return peers.subnets.map((subnet) => ({
    link,
    parent: ROOT_HANDLE,
    priority: subnet.family === 4 ? 1 : 2,
    protocol: subnet.family === 4 ? filter.ETH_P.IP : filter.ETH_P.IPV6,
    keys: filter.addressKeys(side, subnet),
    class: handle(1, peers.areShaped ? SHAPED_CLASS : OPEN_CLASS),
  }));
}

function filterText({ protocol, keys, class: classId }: filter.FilterSpec): string {
  const words = keys.map(({ mask, value, offset }) => `${value.toString(16)}/${mask.toString(16)} at ${offset}`);
  return `of protocol ${protocol.toString(16)} on ${words.join(' and ')} to class ${(classId ?? 0) & 0xffff}`;
}
