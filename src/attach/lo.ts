/**
 * The loopback interface of a container. DEL takes back what ADD did: where `lo` was up already, as in a namespace that
 * containers share, it stays up.
 */
import type { CniCall } from '../cni/call.ts';
import type { CniResult } from '../cni/result.ts';
import { NetloomError } from '../error.ts';
import * as addr from '../rtnl/addr.ts';
import * as link from '../rtnl/link.ts';
import { type ContainerSide, tryOpenContainer } from './namespace.ts';
import { findRecord, keyOf, putRecord } from './record.ts';

const LO = { name: 'lo' } as const;

/** Sets `lo` up where it is down, and first notes that in the record. For a recorded plugin (recorded.ts). */
export function raiseLo(call: CniCall, container: ContainerSide, mode: string): void {
  if (link.get(container.nl, LO).isUp) return;
  const key = keyOf(call, mode);
  putRecord(call.paths, { ...key, netns: call.netns, id: container.netns.id, raisedLo: true });
  container.nl.execute(link.set(LO, {}, { up: true }));
}

/** Sets `lo` down where this attachment had set it up, in this very namespace. */
export function lowerLo(call: CniCall, mode: string): void {
  using container = tryOpenContainer(call);
  if (container === undefined) return;
  const record = findRecord(call, keyOf(call, mode));
  if (record?.raisedLo !== true || record.id !== container.netns.id) return;
  container.nl.execute(link.set(LO, {}, { up: false }));
}

/** @throws NetloomError check-failed where `lo` is down */
export function verifyLo(container: ContainerSide): void {
  if (!link.get(container.nl, LO).isUp) throw new NetloomError('check-failed', '"lo" in the container is down');
}

/** `lo` with what the kernel gave it: 127.0.0.1/8, and ::1/128 where it has IPv6. */
export function describeLo({ nl }: ContainerSide, sandbox: string): CniResult {
  const lo = link.get(nl, LO);
  return {
    interfaces: [{ name: LO.name, ...(lo.mac !== undefined && { mac: lo.mac }), mtu: lo.mtu, sandbox }],
    ips: addr.list(nl, { link: lo.index }).map(({ address }) => ({ address, interface: 0 })),
  };
}
