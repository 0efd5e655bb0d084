/**
 * Ranges of host-local: parts of subnets whose addresses are allocated to containers. A set is a list of ranges that
 * count as one pool; a network has a list of sets, and a container gets one address from each.
 * https://www.cni.dev/plugins/current/ipam/host-local/
 *
 * Error messages name the key at fault, followed by the words of the reference, because people search for those.
 */
import { NetloomError } from '../error.ts';
import { Cidr } from '../net/cidr.ts';
import { Ip } from '../net/ip.ts';

/** A range as configured. */
export interface RangeKeys {
  readonly subnet: Cidr;
  readonly rangeStart?: Ip;
  readonly rangeEnd?: Ip;
  readonly gateway?: Ip;
}

/** A range with everything filled in. */
export interface IpRange {
  readonly subnet: Cidr;
  /** The first and the last address, both included. */
  readonly start: Ip;
  readonly end: Ip;
  readonly gateway: Ip;
}

/** Ranges of one family that do not overlap; at least one. */
export type RangeSet = readonly IpRange[];

/** Bits that a prefix must leave for hosts: with fewer there is no address besides network, broadcast and gateway. */
const MIN_SIZE = 4n;

/**
 * Fills in and checks all range sets of a network.
 * @param at the key path of the list, for error messages
 * @throws NetloomError invalid-config
 */
export function rangeSets(sets: readonly (readonly RangeKeys[])[], at: string): readonly RangeSet[] {
  if (sets.length === 0) throw invalid(`no IP ranges specified, expected "${at}" or a "subnet"`);
  const result = sets.map((set, i) => rangeSet(set, i, at));
  // Nearly all networks have one set of one range. NB: entries() costs a fresh process 0.1 ms, as generators do.
  if (result.length === 1) return result;
  for (const [i, set] of result.entries()) {
    for (const [j, other] of result.entries()) {
      const both = j > i ? firstOverlap(set, other) : undefined;
      if (both !== undefined) {
        throw invalid(`range set ${i} overlaps with ${j}: ${rangeText(both[0])} and ${rangeText(both[1])}`);
      }
    }
  }
  return result;
}

/** Whether an address is within the bounds of a range, inclusive. */
export function contains(range: IpRange, ip: Ip): boolean {
  return ip.family === range.start.family && ip.compare(range.start) >= 0 && ip.compare(range.end) <= 0;
}

/** The range of a set that an address lies in. */
export function rangeOf(set: RangeSet, ip: Ip): IpRange | undefined {
  return set.find((range) => contains(range, ip));
}

/** The bounds of a set: `10.1.0.1-10.1.0.254,10.2.0.1-10.2.0.254` */
export function boundsOf(set: RangeSet): string {
  return set.map(rangeText).join(',');
}

function rangeSet(set: readonly RangeKeys[], index: number, at: string): RangeSet {
  const where = `invalid range set ${index}`;
  if (set.length === 0) throw invalid(`${where}: empty range set, expected at least one range in "${at}[${index}]"`);
  const ranges = set.map((range, i) => fillIn(range, `${where}: "${at}[${index}][${i}]"`));
  if (ranges.length === 1) return ranges;
  for (const [i, range] of ranges.entries()) {
    if (range.start.family !== ranges[0]?.start.family) {
      throw invalid(`${where}: mixed address families, expected one: ${boundsOf(ranges)}`);
    }
    const other = ranges.slice(i + 1).find((next) => overlaps(range, next));
    if (other !== undefined) throw invalid(`${where}: subnets ${rangeText(range)} and ${rangeText(other)} overlap`);
  }
  return ranges;
}

function fillIn({ subnet, rangeStart, rangeEnd, gateway }: RangeKeys, where: string): IpRange {
  if (subnet.size() < MIN_SIZE) {
    throw invalid(`${where}: Network ${subnet} too small to allocate from, expected at least ${MIN_SIZE} addresses`);
  }
  if (subnet.hasHostBits()) {
    const network = subnet.first();
    throw invalid(
      `${where}: Network has host bits set. For a subnet mask of length ${subnet.prefix} the network address is ${network}, not ${subnet.ip}`,
    );
  }
  const first = subnet.first().plus(1n);
  const last = subnet.family === 4 ? subnet.last().plus(-1n) : subnet.last();
  const range = { subnet, start: rangeStart ?? first, end: rangeEnd ?? last, gateway: gateway ?? first };
  if (!subnet.contains(range.start)) throw invalid(`${where}: RangeStart ${range.start} not in network ${subnet}`);
  if (!subnet.contains(range.end)) throw invalid(`${where}: RangeEnd ${range.end} not in network ${subnet}`);
  if (range.start.compare(range.end) > 0) {
    throw invalid(
      `${where}: RangeStart ${range.start} not in network ${subnet} up to RangeEnd ${range.end}, expected start <= end`,
    );
  }
  if (!subnet.contains(range.gateway) && !isLinkLocal(range.gateway, subnet)) {
    throw invalid(`${where}: gateway ${range.gateway} not in network ${subnet}`);
  }
  return range;
}

/**
 * Routers of IPv6 are commonly known by their link-local address, and some networks do the same in IPv4: such a gateway
 * is reachable on the link although it is in no subnet. Any other gateway outside the subnet would only fail later, in
 * the kernel.
 */
function isLinkLocal(gateway: Ip, subnet: Cidr): boolean {
  const block = new Cidr(Ip.parse(subnet.family === 4 ? '169.254.0.0' : 'fe80::'), subnet.family === 4 ? 16 : 10);
  return block.contains(gateway);
}

function firstOverlap(set: RangeSet, other: RangeSet): readonly [IpRange, IpRange] | undefined {
  for (const range of set) {
    const found = other.find((next) => overlaps(range, next));
    if (found !== undefined) return [range, found];
  }
  return undefined;
}

function overlaps(range: IpRange, other: IpRange): boolean {
  return contains(range, other.start) || contains(other, range.start);
}

function rangeText(range: IpRange): string {
  return `${range.start}-${range.end}`;
}

function invalid(message: string): NetloomError {
  return new NetloomError('invalid-config', message);
}
