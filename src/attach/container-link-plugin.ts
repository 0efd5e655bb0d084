/** The plugin behind macvlan, ipvlan, vlan and dummy: a link in the container, made as each type says. */

import type { CniCall, NetConf } from '../cni/call.ts';
import type { ConfSchema } from '../cni/config.ts';
import type { Plugin } from '../cni/plugin.ts';
import type { CniResult } from '../cni/result.ts';
import { hasCode, messageOf, NetloomError } from '../error.ts';
import { ipamStatus } from '../ipam/delegate.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { openRoute } from '../rtnl/socket.ts';
import { allocation } from './allocate.ts';
import { announce } from './announce.ts';
import { addContainerLink, type LinkPlan, removeContainerLinks } from './container-link.ts';
import { dnsOf } from './dns.ts';
import { requireKind } from './kind.ts';
import { attach, collectAttachments, removeAttachment, verifyAttachment, verifyData } from './link-attachment.ts';
import { type ContainerSide, openContainer, refuseTakenIfname } from './namespace.ts';

/** What is specific to one type. */
export interface ContainerLinkType<C extends NetConf> {
  /** Also what the kernel calls the kind. */
  readonly type: string;
  readonly about: string;
  readonly schema: ConfSchema<C>;
  /**
   * Whether the addresses are announced to neighbours. That needs a MAC that can be set, see announce.ts. ipvlan has
   * none, and announces when it is set up.
   */
  readonly announces: boolean;
  /** Checks what the schema cannot. Called before any change. @throws NetloomError invalid-config */
  checkConf(conf: C): void;
  /** The plan of the link. Looks, and changes nothing. @throws NetloomError where the kernel would refuse it */
  plan(call: CniCall<C>, host: NetlinkSocket, container: ContainerSide): LinkPlan;
  /** Where addresses come from. Default: the IPAM plugin. */
  addresses?(call: CniCall<C>, container: ContainerSide, allocate: () => CniResult): CniResult;
  /** The DNS that the result has. Default: the configuration's, or else that of IPAM. */
  dns?(conf: C): Pick<CniResult, 'dns'>;
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
  const result = attach(container, call, made, ipam);
  if (type.announces && made.mac !== undefined) announce(container, made.index, made.mac);
  undo.move(); // All of it stands: nothing to undo.
  return { ...result, ...(type.dns?.(call.conf) ?? dnsOf(call.conf, ipam)) };
}

/** @throws NetloomError check-failed, with every difference */
function check<C extends NetConf>(type: ContainerLinkType<C>, call: CniCall<C>): void {
  type.checkConf(call.conf);
  verifyAttachment(call, type.type, (found, differences) => {
    verifyData(found, type.type, type.made?.(call.conf) ?? {}, differences);
  });
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
