/** The plugin that macvlan, ipvlan, vlan and dummy are: a link in the container, made of what each of them says. */

import type { CniCall, NetConf } from '../cni/call.ts';
import type { ConfSchema } from '../cni/config.ts';
import type { Plugin } from '../cni/plugin.ts';
import type { CniDns, CniResult } from '../cni/result.ts';
import { hasCode, messageOf, NetloomError } from '../error.ts';
import { ipamCheck, ipamStatus } from '../ipam/delegate.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import { configureInterface } from './addresses.ts';
import { allocation } from './allocate.ts';
import { announce } from './announce.ts';
import { attachedOf } from './chained.ts';
import { addContainerLink, type LinkPlan, removeContainerLinks } from './container-link.ts';
import { requireKind } from './kind.ts';
import { type ContainerSide, openContainer, refuseTakenIfname } from './namespace.ts';
import { isCurrent, staleRecords } from './record.ts';
import { collectAndRelease, removeAndRelease } from './release.ts';
import { Differences, verifyAddresses, verifyInterface } from './verify.ts';

/** What one type is, beside the shape that all have. */
export interface ContainerLinkType<C extends NetConf> {
  /** Also what the kernel calls the kind. */
  readonly type: string;
  readonly about: string;
  readonly schema: ConfSchema<C>;
  /** Whether neighbours are told of the addresses. Needs a MAC that can be set, see announce.ts; ipvlan has none, and tells when it is set up. */
  readonly announces: boolean;
  /** What the keys forbid. Before any change. @throws NetloomError invalid-config */
  checkConf(conf: C): void;
  /** What the link is made of. Looks, and changes nothing. @throws NetloomError where the kernel would refuse it */
  plan(call: CniCall<C>, host: NetlinkSocket, container: ContainerSide): LinkPlan;
  /** Where addresses come from. Default: the IPAM plugin. */
  addresses?(call: CniCall<C>, container: ContainerSide, allocate: () => CniResult): CniResult;
  /** The DNS that the result has. Default: the configuration's, or else that of IPAM. */
  dns?(conf: C, ipam: CniResult): CniDns | undefined;
  /** For CHECK: the values that the kernel's data of the kind has after an ADD. Default: none. */
  made?(conf: C): Readonly<Record<string, unknown>>;
  /** STATUS: what has to be there for an ADD. Default: nothing. @throws NetloomError no-link, invalid-config */
  status?(conf: C, host: NetlinkSocket): void;
}

export function containerLinkPlugin<C extends NetConf>(type: ContainerLinkType<C>): Plugin<C> {
  return {
    type: type.type,
    about: type.about,
    schema: type.schema,
    add: (call) => add(type, call),
    del: (call) => removeAttachment(call, type.type),
    check: (call) => check(type, call),
    gc: (call) => collectAttachments(call, type.type, (stale) => removeContainerLinks(stale, type.type)),
    status: (call) => status(type, call),
  };
}

function add<C extends NetConf>(type: ContainerLinkType<C>, call: CniCall<C>): CniResult {
  type.checkConf(call.conf);
  using container = openContainer(call);
  using nl = openRoute();
  using undo = new DisposableStack();
  refuseTakenIfname(container, call.ifname);
  const plan = type.plan(call, nl, container);
  const allocate = allocation(call, undo);
  const made = addContainerLink(container, call, plan, undo);
  const ipam = type.addresses?.(call, container, allocate) ?? allocate();
  const dns = type.dns === undefined ? (call.conf.dns ?? ipam.dns) : type.dns(call.conf, ipam);
  const result = attach(container, call, made, ipam);
  if (type.announces && made.mac !== undefined) announce(container, made.index, made.mac);
  undo.move(); // All of it stands: nothing to undo.
  return { ...result, ...(dns !== undefined && { dns }) };
}

/** Gives a link in the container its addresses and sets it up. @returns the result of the ADD, without dns */
export function attach(container: ContainerSide, call: CniCall, made: link.Link, ipam: CniResult): CniResult {
  const ips = (ipam.ips ?? []).map((ip) => ({ ...ip, interface: 0 }));
  const routes = ipam.routes ?? [];
  const { index, mac, mtu } = made;
  configureInterface(container, { ifname: call.ifname, index, ips, routes, probesDuplicates: false });
  const inContainer = { name: call.ifname, ...(mac !== undefined && { mac }), mtu, sandbox: call.netns };
  return { interfaces: [inContainer], ips, routes };
}

/** DEL: the link, where its namespace is still there, and then the addresses. Needs neither the master nor prevResult. */
export function removeAttachment(call: CniCall, kind: string): void {
  removeAndRelease(call, () => removeContainerLinks(call, kind));
}

/**
 * GC: links go with their namespace, but one may outlive its attachment, such as a pin that nobody has taken away.
 * @param remove takes away what an attachment has in its namespace; the call is as that of its DEL
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

/** @throws NetloomError check-failed, with every difference */
function check<C extends NetConf>(type: ContainerLinkType<C>, call: CniCall<C>): void {
  type.checkConf(call.conf);
  verifyAttachment(call, type.type, ({ name, attrs: { linkinfo } }, differences) => {
    const data = (linkinfo?.data ?? {}) as Readonly<Record<string, unknown>>;
    for (const [key, expected] of Object.entries(type.made?.(call.conf) ?? {})) {
      if (data[key] === expected) continue;
      differences.add(`"${name}" in the container has the ${type.type} ${key} ${data[key]}, expected ${expected}`);
    }
  });
}

/** CHECK: interface, addresses and routes as prevResult has them. @throws NetloomError check-failed, with every difference */
export function verifyAttachment(
  call: CniCall,
  kind: string | undefined,
  more: (found: link.Link, differences: Differences) => void,
): void {
  const { result, inContainer } = attachedOf(call);
  if (call.conf.ipam !== undefined) ipamCheck(call);
  const differences = new Differences();
  using container = openContainer(call);
  if (inContainer === undefined) {
    differences.add(`prevResult has no interface "${call.ifname}" in a sandbox`);
  } else {
    const found = verifyInterface(container.nl, inContainer, kind, differences);
    if (found !== undefined) {
      more(found, differences);
      verifyAddresses(container.nl, found.index, result, differences);
    }
  }
  differences.throwIfAny();
}

/** @throws NetloomError not-available with the reason */
function status<C extends NetConf>(type: ContainerLinkType<C>, call: CniCall<C>): void {
  type.checkConf(call.conf);
  using nl = openRoute();
  requireKind(nl, type.type);
  try {
    type.status?.(call.conf, nl);
  } catch (cause) {
    if (!hasCode(cause, 'no-link', 'invalid-config')) throw cause;
    throw new NetloomError('not-available', messageOf(cause), { cause });
  }
  if (call.conf.ipam !== undefined) ipamStatus(call);
}
