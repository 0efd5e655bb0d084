/** The prefixes of a network's subnet that nodes can have. */
import { NetloomError } from '../error.ts';
import { fnv1a } from '../fnv.ts';
import { Cidr } from '../net/cidr.ts';
import { bitsOf } from '../net/ip.ts';
import type { Applicant } from './record.ts';

/**
 * All candidates: first the prefix that the node had, then all from a place that follows from its name, so that nodes
 * that join at the same time seldom collide.
 */
export function* candidates(
  subnet: Cidr,
  nodePrefix: number,
  { name, former }: Pick<Applicant, 'name' | 'former'>,
): Generator<Cidr> {
  if (former?.prefix === nodePrefix && subnet.contains(former.ip)) yield former;
  const count = 1n << BigInt(nodePrefix - subnet.prefix);
  const size = 1n << BigInt(bitsOf(subnet.family) - nodePrefix);
  const first = subnet.first();
  const start = BigInt(`0x${fnv1a(name)}`) % count;
  for (let i = 0n; i < count; i++) yield new Cidr(first.plus(((start + i) % count) * size), nodePrefix);
}

/** The error where none is free. */
export function allTaken(subnet: Cidr, nodePrefix: number): NetloomError {
  return new NetloomError(
    'address-exhausted',
    `Cannot join the overlay: all ${1n << BigInt(nodePrefix - subnet.prefix)} prefixes of /${nodePrefix} in ${subnet} are taken`,
    { hint: 'free those of nodes that are gone for good: netloom overlay reclaim NETWORK NODE' },
  );
}
