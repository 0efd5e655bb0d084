/**
 * What a chained plugin builds on: the result of the plugins before it.
 * https://www.cni.dev/docs/spec/#section-4-plugin-delegation
 */
import type { CniCall } from '../cni/call.ts';
import { prevResultOf } from '../cni/config.ts';
import type { CniInterface, CniIp, CniResult } from '../cni/result.ts';
import { NetloomError } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as link from '../rtnl/link.ts';
import type { ContainerSide } from './namespace.ts';

/** What the plugins before have made. */
export interface Attached {
  /** The whole result: a plugin that adds nothing answers with it. */
  readonly result: CniResult;
  /**
   * The interface that the call is about; undefined where no plugin before made it, as with one that only gives
   * addresses.
   */
  readonly inContainer: CniInterface | undefined;
  /** Interfaces on the host, such as the bridge and the other end. */
  readonly onHost: readonly CniInterface[];
  /** The addresses of `inContainer`, and those that name no interface. */
  readonly ips: readonly CniIp[];
}

/** @throws NetloomError invalid-config where there is no result, as when the plugin comes first in a conflist */
export function attachedOf({ conf, ifname }: Pick<CniCall, 'conf' | 'ifname'>): Attached {
  const result = prevResultOf(conf);
  const interfaces = result.interfaces ?? [];
  const inContainer = interfaces.find((each) => isInContainer(each) && each.name === ifname);
  return {
    result,
    inContainer,
    onHost: interfaces.filter((each) => !isInContainer(each)),
    ips: (result.ips ?? []).filter(({ interface: index }) => {
      const its = index === undefined ? undefined : interfaces[index];
      return its === undefined || its === inContainer || (inContainer === undefined && isInContainer(its));
    }),
  };
}

function isInContainer({ sandbox }: CniInterface): boolean {
  return sandbox !== undefined;
}

/**
 * The container's interface.
 * @param cannot what fails without it, such as `Cannot tune "eth0"`
 * @throws NetloomError no-link
 */
export function requireInterface({ nl }: ContainerSide, ifname: string, cannot: string): link.Link {
  const found = link.find(nl, { name: ifname });
  if (found !== undefined) return found;
  throw new NetloomError('no-link', `${cannot}: the container has no interface of that name`);
}

/** The links on the host that the plugins before have named, as far as they exist. */
export function hostLinks(nl: NetlinkSocket, { onHost }: Pick<Attached, 'onHost'>): link.Link[] {
  return onHost.flatMap(({ name }) => link.find(nl, { name }) ?? []);
}
