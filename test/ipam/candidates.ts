/** The order in which addresses are allocated, as a list. */
import { type Candidate, findCandidate } from '../../src/ipam/allocator.ts';
import type { RangeSet } from '../../src/ipam/range.ts';
import type { Ip } from '../../src/net/ip.ts';

/** The first `count` addresses of a set that are tried after the last reserved one. */
export function candidates(set: RangeSet, last?: Ip, count = Number.POSITIVE_INFINITY): Candidate[] {
  const asked: Candidate[] = [];
  findCandidate(set, last, (candidate) => {
    asked.push(candidate);
    return asked.length === count;
  });
  return asked;
}
