/**
 * Which address comes next: round robin over all ranges of a set, so that an address just released is the last to be
 * reused. The order is that of the reference, so that both plugins can work on one network in turn. Pure: the store
 * knows which addresses are taken.
 */
import { NetloomError } from '../error.ts';
import type { Ip } from '../net/ip.ts';
import { boundsOf, contains, type IpRange, type RangeSet, rangeOf } from './range.ts';

/** An address that can be allocated, with its range. */
export interface Candidate {
  readonly ip: Ip;
  readonly range: IpRange;
}

/**
 * The first usable address of a set that `isWanted` accepts. Each address is tried once, beginning after the last
 * reserved one, or at the start of the set where `last` is not in it. NB: an IPv6 range has too many addresses to try
 * them all. Not a generator: the first one costs a process 0.1 to 0.2 ms.
 */
export function findCandidate(
  set: RangeSet,
  last: Ip | undefined,
  isWanted: (candidate: Candidate) => boolean,
): Candidate | undefined {
  const found = last === undefined ? -1 : set.findIndex((range) => contains(range, last));
  const first = Math.max(found, 0);
  const cut = found < 0 || last === undefined ? undefined : last.toBigInt();
  for (let i = 0; i <= set.length; i++) {
    const range = set[(first + i) % set.length];
    if (range === undefined) return undefined; // an empty set
    const start = i === 0 && cut !== undefined ? cut + 1n : range.start.toBigInt();
    // The range that we began in comes again at the end, up to the point where we began.
    const end = i === set.length ? (cut ?? start - 1n) : range.end.toBigInt();
    for (let value = start; value <= end; value++) {
      const ip = range.start.plus(value - range.start.toBigInt());
      if (unusable(range, ip) === undefined && isWanted({ ip, range })) return { ip, range };
    }
  }
  return undefined;
}

/** How many addresses of a set can be allocated. */
export function capacity(set: RangeSet): bigint {
  let count = 0n;
  for (const range of set) {
    count += range.end.toBigInt() - range.start.toBigInt() + 1n;
    for (const ip of reserved(range)) if (contains(range, ip)) count--;
  }
  return count;
}

/** How many of the allocatable addresses of a set are taken. */
export function countTaken(set: RangeSet, taken: Iterable<Ip>): bigint {
  let count = 0n;
  for (const ip of taken) {
    const range = rangeOf(set, ip);
    if (range !== undefined && unusable(range, ip) === undefined) count++;
  }
  return count;
}

/**
 * Assigns each requested address to the first set that contains it and has none yet.
 * @returns the requested address of each set
 * @throws NetloomError invalid-address where an address cannot be allocated
 */
export function assign(sets: readonly RangeSet[], asked: readonly Ip[]): readonly (Candidate | undefined)[] {
  const assigned: (Candidate | undefined)[] = sets.map(() => undefined);
  const left: Ip[] = [];
  for (const ip of new Map(asked.map((one) => [one.toString(), one])).values()) {
    const index = sets.findIndex((set, i) => assigned[i] === undefined && rangeOf(set, ip) !== undefined);
    const range = rangeOf(sets[index] ?? [], ip);
    if (range === undefined) {
      left.push(ip);
      continue;
    }
    const fault = unusable(range, ip);
    if (fault !== undefined) {
      throw new NetloomError(
        'invalid-address',
        `failed to allocate for range ${index}: requested ip ${ip} is subnet's ${fault}`,
      );
    }
    assigned[index] = { ip, range };
  }
  if (left.length > 0) {
    throw new NetloomError(
      'invalid-address',
      `failed to allocate all requested IPs: ${left.join(' ')}, expected at most one of each range set: ${sets.map(boundsOf).join(' and ')}`,
    );
  }
  return assigned;
}

/** The error for a set without free addresses. */
export function fullError(set: RangeSet, index: number): NetloomError {
  const count = capacity(set);
  return new NetloomError(
    'address-exhausted',
    `failed to allocate for range ${index}: no IP addresses available in range set: ${boundsOf(set)}, all ${count} are taken`,
    { hint: 'remove containers, widen the range, or have GC free the leases of containers that are gone' },
  );
}

/** Why no container can have an address of a range; undefined where one can. */
function unusable(range: IpRange, ip: Ip): 'gateway' | 'network address' | 'broadcast address' | undefined {
  if (ip.equals(range.gateway)) return 'gateway';
  // Only a rangeStart or rangeEnd equal to one of these two lets it in. The reference allocates them, and then nothing
  // can reach the container: the network address of IPv6 belongs to every router on the link (RFC 4291, 2.6.1), the
  // last one of IPv4 to every host.
  if (ip.equals(range.subnet.ip)) return 'network address';
  if (ip.family === 4 && ip.equals(range.subnet.last())) return 'broadcast address';
  return undefined;
}

/** The addresses that unusable() rejects, each once. */
function reserved({ gateway, subnet }: IpRange): Ip[] {
  const ips = [gateway, subnet.first(), ...(subnet.family === 4 ? [subnet.last()] : [])];
  return ips.filter((ip, i) => ips.findIndex((other) => other.equals(ip)) === i);
}
