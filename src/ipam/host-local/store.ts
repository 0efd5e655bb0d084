/** The operations of host-local on the leases of a network. Each function holds the network's lock throughout. */
import { NetloomError } from '../../error.ts';
import { Ip } from '../../net/ip.ts';
import { assign, type Candidate, capacity, countTaken, findCandidate, fullError } from '../allocator.ts';
import { boundsOf, type RangeSet, rangeOf } from '../range.ts';
import type { Owner } from './lease.ts';
import { LeaseDirectory, type LeasePlace } from './lease-directory.ts';

/** How many addresses are tried one by one before the directory is listed to see which are free. */
const TRIES = 64;

/** How much of a range set is in use. */
export interface Usage {
  readonly set: RangeSet;
  readonly capacity: bigint;
  readonly taken: bigint;
}

/**
 * Allocates one address of each range set to an attachment: all of them or none.
 * @param asked addresses that it requests, at most one per set
 * @throws NetloomError duplicate, invalid-address, address-in-use, address-exhausted, or an errno's name
 */
export function reserve(
  place: LeasePlace,
  owner: Owner,
  sets: readonly RangeSet[],
  asked: readonly Ip[] = [],
): readonly Candidate[] {
  const wanted = assign(sets, asked);
  using directory = LeaseDirectory.create(place);
  const { own, anyInterface } = directory.find(owner);
  refuseDuplicate(owner, sets, [...own, ...anyInterface]);
  using undo = new DisposableStack();
  using _prepared = directory.prepare(owner);
  const given = sets.map((set, index) => {
    const candidate = take(directory, set, index, wanted[index]);
    undo.defer(() => directory.tryFree(candidate.ip.toString()));
    directory.setLastReserved(index, candidate.ip);
    return candidate;
  });
  directory.record(owner, [...own, ...given.map(({ ip }) => ip.toString())]);
  undo.move(); // all steps succeeded: nothing to undo
  return given;
}

/** Frees the addresses of an attachment. @returns the addresses freed; having none is not an error */
export function release(place: LeasePlace, owner: Owner): readonly string[] {
  using directory = LeaseDirectory.tryOpen(place);
  if (directory === undefined) return [];
  const { own, anyInterface } = directory.find(owner);
  // As the reference: a file without an interface name counts only if no file names this interface.
  const names = own.length > 0 ? own : anyInterface;
  if (names.length === 0) return [];
  for (const name of names) directory.free(name);
  directory.record(own.length > 0 ? owner : { ...owner, ifname: '' }, []);
  return names;
}

/** The addresses of an attachment. */
export function find(place: LeasePlace, owner: Owner): readonly Ip[] {
  using directory = LeaseDirectory.tryOpen(place);
  const { own, anyInterface } = directory?.find(owner) ?? { own: [], anyInterface: [] };
  return (own.length > 0 ? own : anyInterface).map((name) => Ip.parse(name));
}

/** Frees the addresses of all attachments that are not listed. @returns the addresses freed */
export function gc(place: LeasePlace, valid: readonly Owner[]): readonly string[] {
  using directory = LeaseDirectory.tryOpen(place);
  if (directory === undefined) return [];
  const attachments = new Set(valid.map(({ containerId, ifname }) => `${containerId} ${ifname}`));
  const containers = new Set(valid.map(({ containerId }) => containerId));
  const freed: string[] = [];
  directory.scan(({ containerId, ifname }, name) => {
    const isValid = ifname === '' ? containers.has(containerId) : attachments.has(`${containerId} ${ifname}`);
    if (!isValid) freed.push(name);
    return isValid;
  });
  return freed;
}

/** How much of each range set is in use. Lists the directory without reading any lease. */
export function statistics(place: LeasePlace, sets: readonly RangeSet[]): readonly Usage[] {
  using directory = LeaseDirectory.tryOpen(place);
  const taken = directory?.taken() ?? [];
  return sets.map((set) => ({ set, capacity: capacity(set), taken: countTaken(set, taken) }));
}

function refuseDuplicate(owner: Owner, sets: readonly RangeSet[], names: readonly string[]): void {
  for (const name of names) {
    const ip = Ip.parse(name);
    // A lease outside all sets stems from a configuration that has changed since.
    const index = sets.findIndex((set) => rangeOf(set, ip) !== undefined);
    if (index < 0) continue;
    throw new NetloomError(
      'duplicate',
      `failed to allocate for range ${index}: ${ip} has been allocated to ${owner.containerId}, duplicate allocation is not allowed`,
      { hint: `an ADD of "${owner.ifname}" took it, and no DEL has freed it: call DEL first` },
    );
  }
}

function take(directory: LeaseDirectory, set: RangeSet, index: number, wanted: Candidate | undefined): Candidate {
  if (wanted === undefined) return takeNext(directory, set, index);
  const { ip } = wanted;
  if (directory.take(ip) || (directory.reclaimEmpty([ip]) && directory.take(ip))) return wanted;
  throw new NetloomError(
    'address-in-use',
    `failed to allocate for range ${index}: requested IP address ${ip} is not available in range set ${boundsOf(set)}`,
    { details: directory.holder(ip) },
  );
}

function takeNext(directory: LeaseDirectory, set: RangeSet, index: number): Candidate {
  const last = directory.lastReserved(index);
  const found = firstFree(directory, set, last);
  if (found !== undefined) return found;
  const inSet = directory.taken().filter((ip) => rangeOf(set, ip) !== undefined);
  const another = directory.reclaimEmpty(inSet) ? firstFree(directory, set, last) : undefined;
  if (another === undefined) throw fullError(set, index);
  return another;
}

/**
 * The next free address. Usually that is the first one tried; in a long row of taken ones, one listing saves trying
 * each.
 */
function firstFree(directory: LeaseDirectory, set: RangeSet, last: Ip | undefined): Candidate | undefined {
  let taken: ReadonlySet<string> | undefined;
  let tries = 0;
  return findCandidate(set, last, ({ ip }) => {
    if (taken?.has(ip.toString())) return false;
    if (directory.take(ip)) return true;
    tries++;
    if (tries === TRIES) taken = new Set(directory.taken().map(String));
    return false;
  });
}
