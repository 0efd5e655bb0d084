/** For CHECK: compares what the kernel has with what ADD answered, item by item. */
import type { CniInterface, CniResult } from '../cni/result.ts';
import { NetloomError } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as addr from '../rtnl/addr.ts';
import * as link from '../rtnl/link.ts';
import * as route from '../rtnl/route.ts';
import { routeSpec } from './addresses.ts';

/** What differs, in sentences. */
export class Differences {
  readonly #items: string[] = [];

  add(...sentences: readonly string[]): void {
    this.#items.push(...sentences);
  }

  /** @throws NetloomError check-failed, with every difference */
  throwIfAny(): void {
    if (this.#items.length === 0) return;
    throw new NetloomError('check-failed', `The attachment is not as ADD left it: ${this.#items.join('; ')}`);
  }
}

/** @returns the link; undefined where it is missing, which counts as a difference */
export function verifyPresence(
  nl: NetlinkSocket,
  name: string,
  where: 'on the host' | 'in the container',
  differences: Differences,
): link.Link | undefined {
  const found = link.find(nl, { name });
  if (found === undefined) differences.add(`the interface "${name}" ${where} is missing`);
  return found;
}

/** The same as verifyInterface(), for the container's interface. */
export function verifyInContainer(
  nl: NetlinkSocket,
  ifname: string,
  { interfaces = [] }: CniResult,
  kind: string | undefined,
  differences: Differences,
): link.Link | undefined {
  const expected = interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  if (expected !== undefined) return verifyInterface(nl, expected, kind, differences);
  differences.add(`prevResult has no interface "${ifname}" in a sandbox`);
  return undefined;
}

/**
 * Compares a link with what the result says of it.
 * @param kind undefined where any will do
 * @returns the link; undefined where it is missing
 */
export function verifyInterface(
  nl: NetlinkSocket,
  expected: CniInterface,
  kind: string | undefined,
  differences: Differences,
): link.Link | undefined {
  const where = expected.sandbox === undefined ? 'on the host' : 'in the container';
  const found = verifyPresence(nl, expected.name, where, differences);
  if (found === undefined) return undefined;
  if (kind !== undefined && found.kind !== kind)
    differences.add(`"${expected.name}" ${where} is of the kind ${found.kind ?? 'device'}, expected ${kind}`);
  if (expected.mac !== undefined && found.mac !== expected.mac.toLowerCase()) {
    differences.add(`"${expected.name}" ${where} has the MAC ${found.mac}, expected ${expected.mac}`);
  }
  if (!found.isUp) differences.add(`"${expected.name}" ${where} is down`);
  return found;
}

/** Compares the addresses and routes of the container's interface with those of the result. */
export function verifyAddresses(nl: NetlinkSocket, index: number, result: CniResult, differences: Differences): void {
  const ips = result.ips ?? [];
  const addresses = addr.list(nl, { link: index });
  for (const { address } of ips) {
    if (!addresses.some((have) => have.address.equals(address))) differences.add(`the address ${address} is missing`);
  }
  const wanted = result.routes ?? [];
  if (wanted.length === 0) return;
  const routes = route.list(nl);
  for (const entry of wanted) {
    const spec = routeSpec(entry, { ips, index });
    if (!routes.some((have) => isSameRoute(have, spec))) {
      differences.add(`the route to ${spec.dst}${spec.gateway === undefined ? '' : ` via ${spec.gateway}`} is missing`);
    }
  }
}

/**
 * NB: where no table is asked for, any will do: later plugins of the chain (sbr, vrf) move routes to one of their own.
 */
function isSameRoute(have: route.Route, want: route.RouteSpec): boolean {
  return (
    have.dst.equals(want.dst) &&
    (want.table === undefined || have.table === want.table) &&
    have.oif === want.oif &&
    (want.gateway === undefined ? have.gateway === undefined : have.gateway?.equals(want.gateway) === true)
  );
}
