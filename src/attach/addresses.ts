/** The container's interface: addresses, state and routes, as IPAM gave them out. */
import type { CniIp, CniRoute } from '../cni/result.ts';
import { NetloomError } from '../error.ts';
import type { Ip } from '../net/ip.ts';
import { writeSysctl } from '../net/sysctl.ts';
import type { Request } from '../netlink/message.ts';
import { withNetns } from '../netns/within.ts';
import * as addr from '../rtnl/addr.ts';
import * as inet from '../rtnl/inet.ts';
import * as link from '../rtnl/link.ts';
import * as route from '../rtnl/route.ts';
import type { ContainerSide } from './namespace.ts';

export interface AddressPlan {
  readonly ifname: string;
  /** The link's index in the container. */
  readonly index: number;
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  /**
   * Probe IPv6 addresses for duplicates before they are used. A fresh veth on a subnet of ours has none, and the probe
   * takes 1 to 2 s.
   */
  readonly probesDuplicates: boolean;
  /** Whether to add no routes to the addresses' subnets: ptp adds its own. */
  readonly noPrefixRoute?: boolean;
  /** Routes that are added before those of IPAM, such as the on-link route to a gateway. */
  readonly firstRoutes?: readonly Request[];
}

/**
 * How long duplicate address detection may take, in milliseconds. RFC 4862: one probe and one second of waiting, after
 * a random delay of up to a second.
 */
const DAD_LIMIT = 10_000;

/**
 * Sets the interface up with its addresses and routes. They go with the link when it is removed, so there is nothing to
 * undo.
 * @throws NetlinkError with the kernel's errno; NetloomError duplicate-address
 */
export function configureInterface(container: ContainerSide, plan: AddressPlan): void {
  withNetns(container.netns, () => {
    prepareIpv6(plan);
  });
  container.nl.executeAll([
    // Announce the addresses when the link's MAC is set (announce.ts).
    inet.notifyArp(plan.index),
    ...plan.ips.map(({ address }) =>
      addr.add(plan.index, address, { nodad: !plan.probesDuplicates, noPrefixRoute: plan.noPrefixRoute === true }),
    ),
    link.set({ index: plan.index }, {}, { up: true }),
    ...(plan.firstRoutes ?? []),
    ...plan.routes.map((entry) => route.prepend(routeSpec(entry, plan))),
  ]);
  if (plan.probesDuplicates) awaitProbes(container, plan.index);
}

/**
 * The route for an entry of a result. Without a gateway of its own it uses the gateway of its family, if there is one.
 */
export function routeSpec(entry: CniRoute, plan: Pick<AddressPlan, 'ips' | 'index'>): route.RouteSpec {
  const gateway = entry.gw ?? gatewayOf(plan.ips, entry.dst.family);
  return {
    dst: entry.dst.network(),
    oif: plan.index,
    ...(gateway !== undefined && { gateway }),
    ...(entry.mtu !== undefined && { mtu: entry.mtu }),
    ...(entry.advmss !== undefined && { advmss: entry.advmss }),
    ...(entry.priority !== undefined && { priority: entry.priority }),
    ...(entry.table !== undefined && { table: entry.table }),
    ...(entry.scope !== undefined && { scope: entry.scope }),
  };
}

/** The gateway that routes of a family use: the last one given. */
export function gatewayOf(ips: readonly CniIp[], family: 4 | 6): Ip | undefined {
  return ips.findLast(({ address, gateway }) => address.family === family && gateway !== undefined)?.gateway;
}

/**
 * Runs inside the container: /proc/sys/net shows the namespace of the thread that looks. NB: it writes only what is
 * needed, because each setting may cost 0.3 ms (rtnl/inet.ts).
 */
function prepareIpv6({ ifname, ips, probesDuplicates }: AddressPlan): void {
  const ipv6 = `net/ipv6/conf/${ifname}`;
  const hasIpv6 = ips.some(({ address }) => address.family === 6);
  // Also for the link's own address, which the link has even where only IPv4 was asked for, unless this kernel has no
  // IPv6.
  (hasIpv6 ? writeSysctl : tryWrite)(`${ipv6}/accept_dad`, probesDuplicates ? '1' : '0');
  if (!hasIpv6) return;
  if (probesDuplicates) tryWrite(`${ipv6}/enhanced_dad`, '1');
  writeSysctl(`${ipv6}/ndisc_notify`, '1');
  // Runtimes switch IPv6 off in namespaces where they did not ask for it; here somebody did.
  writeSysctl(`${ipv6}/disable_ipv6`, '0');
  tryWrite(`${ipv6}/keep_addr_on_down`, '1');
}

/** Writes a setting that this kernel may lack, and that the address does not need. */
function tryWrite(key: string, value: string): void {
  try {
    writeSysctl(key, value);
  } catch {
    // It works without it.
  }
}

/** Waits until no address is tentative: the kernel notifies of the change with RTM_NEWADDR. */
function awaitProbes(container: ContainerSide, index: number): void {
  container.nl.join(addr.RTNLGRP_IPV6_IFADDR);
  const deadline = performance.now() + DAD_LIMIT;
  for (;;) {
    const addresses = addr.list(container.nl, { link: index, family: 6 });
    const failed = addresses.find(({ flags }) => (flags & addr.IFA_F.DADFAILED) !== 0);
    if (failed !== undefined) {
      throw new NetloomError('duplicate-address', `Cannot use the address ${failed.address}: another station has it`);
    }
    const tentative = addresses.find(({ flags }) => (flags & addr.IFA_F.TENTATIVE) !== 0);
    if (tentative === undefined) return;
    const left = deadline - performance.now();
    if (left <= 0) {
      throw new NetloomError(
        'duplicate-address',
        `Cannot use the address ${tentative.address}: it is still being probed after ${DAD_LIMIT / 1000} s`,
      );
    }
    container.nl.next(left);
  }
}
