/**
 * An attachment that is one link in the container, wherever that came from: what macvlan, ipvlan, vlan, dummy, tap and
 * host-device have in common.
 */
import type { CniCall, NetConf } from '../cni/call.ts';
import { prevResultOf } from '../cni/config.ts';
import type { CniResult } from '../cni/result.ts';
import { ipamCheck } from '../ipam/delegate.ts';
import type * as link from '../rtnl/link.ts';
import { configureInterface } from './addresses.ts';
import { removeContainerLinks } from './container-link.ts';
import { type ContainerSide, openContainer } from './namespace.ts';
import { isCurrent, staleRecords } from './record.ts';
import { collectAndRelease, removeAndRelease } from './release.ts';
import { Differences, verifyAddresses, verifyInContainer } from './verify.ts';

/** Gives a link in the container its addresses and sets it up. @returns the result of the ADD, without dns */
export function attach(container: ContainerSide, call: CniCall, made: link.Link, ipam: CniResult): CniResult {
  const ips = (ipam.ips ?? []).map((ip) => ({ ...ip, interface: 0 }));
  const routes = ipam.routes ?? [];
  const { index, mac, mtu } = made;
  configureInterface(container, { ifname: call.ifname, index, ips, routes, probesDuplicates: false });
  const inContainer = { name: call.ifname, ...(mac !== undefined && { mac }), mtu, sandbox: call.netns };
  return { interfaces: [inContainer], ips, routes };
}

/**
 * For DEL: removes the link, where its namespace is still there, and then gives the addresses back. Needs neither the
 * master nor prevResult.
 */
export function removeAttachment(call: CniCall, kind: string): void {
  removeAndRelease(call, () => removeContainerLinks(call, kind));
}

/**
 * For GC: links go with their namespace, but a namespace may outlive its attachment, such as a pinned one that nobody
 * has removed.
 * @param remove removes what an attachment has in its namespace; it gets a call like that of its DEL
 */
export function collectAttachments<C extends NetConf>(
  call: CniCall<C>,
  type: string,
  remove: (stale: CniCall<C>) => void,
): void {
  collectAndRelease(
    call,
    ...staleRecords(call, type)
      .filter(isCurrent)
      .map(({ container, ifname, netns }) => ({
        remove: () => remove({ ...call, containerId: container, ifname, netns }),
        left: () => [{ containerID: container, ifname }],
      })),
  );
}

/**
 * For CHECK: compares interface, addresses and routes with prevResult.
 * @throws NetloomError check-failed, with every difference
 */
export function verifyAttachment(
  call: CniCall,
  kind: string | undefined,
  more: (found: link.Link, differences: Differences) => void,
): void {
  const result = prevResultOf(call.conf);
  if (call.conf.ipam !== undefined) ipamCheck(call);
  const differences = new Differences();
  using container = openContainer(call);
  const found = verifyInContainer(container.nl, call.ifname, result, kind, differences);
  if (found !== undefined) {
    more(found, differences);
    verifyAddresses(container.nl, found.index, result, differences);
  }
  differences.throwIfAny();
}

/** Compares the kernel's data of a link's kind with the values that are expected. */
export function verifyData(
  { name, attrs: { linkinfo } }: link.Link,
  kind: string,
  expected: Readonly<Record<string, unknown>>,
  differences: Differences,
): void {
  const data = (linkinfo?.data ?? {}) as Readonly<Record<string, unknown>>;
  for (const [key, value] of Object.entries(expected)) {
    if (data[key] === value) continue;
    differences.add(`"${name}" in the container has the ${kind} ${key} ${data[key]}, expected ${value}`);
  }
}
