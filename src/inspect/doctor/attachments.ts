/** Attachments that have changed since they were made. */

import { isAtLeast } from '../../cni/versions.ts';
import { messageOf } from '../../error.ts';
import { Cidr } from '../../net/cidr.ts';
import { Ip } from '../../net/ip.ts';
import { tryOpenNetns } from '../../netns/namespace.ts';
import { withNetns } from '../../netns/within.ts';
import * as link from '../../rtnl/link.ts';
import * as route from '../../rtnl/route.ts';
import { openRoute } from '../../rtnl/socket.ts';
import type { CachedAttachment } from '../../runtime/cache.ts';
import { cachedList, checkChain } from '../../runtime/chain.ts';
import type { Json } from '../../runtime/conflist.ts';
import type { Check, Finding } from './finding.ts';

/**
 * Checks routes first, because those can be restored one by one. Any other fault is reported in the words of the
 * plugins' CHECK.
 */
export const drift: Check = ({ context, attachments }) =>
  attachments.flatMap((attachment) => {
    using netns = tryOpen(attachment.netns);
    if (netns === undefined) return []; // leaks.ts reports it
    const missing = missingRoutes(attachment);
    if (missing.length > 0) return missing;
    try {
      const list = cachedList(attachment);
      if (isAtLeast(list.cniVersion, '0.4.0')) checkChain(context, list, attachment);
      return [];
    } catch (error) {
      return [
        {
          check: 'drift',
          what: `"${attachment.ifname}" of "${attachment.containerId}" has changed since it was attached to "${attachment.network}"`,
          evidence: messageOf(error),
          effect: 'the container may reach nothing, or not be reached',
          mend: `detach it from "${attachment.network}" and attach it again`,
        },
      ];
    }
  });

function missingRoutes(attachment: CachedAttachment): Finding[] {
  const { netns: path, ifname, containerId, network, result = {} } = attachment;
  using netns = tryOpen(path);
  if (netns === undefined) return [];
  using nl = withNetns(netns, () => openRoute());
  const own = link.find(nl, { name: ifname });
  // Without the interface, or with it down, the routes are not the fault.
  if (own === undefined || !own.isUp) return [];
  const present = route.list(nl);
  return routesOf(result).flatMap(({ dst, gateway }) => {
    const isThere = present.some((each) => each.dst.toString() === dst.network().toString());
    if (isThere) return [];
    const words = `${dst.prefix === 0 ? 'default' : dst.network()} via ${gateway} dev ${ifname}`;
    return [
      {
        check: 'missing-route',
        what: `"${containerId}" has lost a route of the network "${network}"`,
        evidence: `the result of its ADD has the route to ${dst}, no routing table of the container has it`,
        effect: dst.prefix === 0 ? 'it reaches nothing beyond its subnet' : `it does not reach ${dst}`,
        mend: `in the container: ip route add ${words}`,
        fix: () => addRoute(path, ifname, { dst, gateway }),
      },
    ];
  });
}

function addRoute(path: string, ifname: string, { dst, gateway }: { readonly dst: Cidr; readonly gateway: Ip }): void {
  using netns = tryOpen(path);
  if (netns === undefined) return;
  using nl = withNetns(netns, () => openRoute());
  nl.execute(route.add({ dst, gateway, oif: link.get(nl, { name: ifname }).index }));
}

/** The routes of a result with their gateways. A route without one takes the gateway of an address of its family. */
function routesOf(result: Json): { readonly dst: Cidr; readonly gateway: Ip }[] {
  const list = (key: string) => (Array.isArray(result[key]) ? (result[key] as Json[]) : []);
  const gateways = list('ips').flatMap(({ gateway }) =>
    typeof gateway === 'string' ? (Ip.tryParse(gateway) ?? []) : [],
  );
  return list('routes').flatMap(({ dst, gw, table }) => {
    const prefix = typeof dst === 'string' ? Cidr.tryParse(dst) : undefined;
    if (prefix === undefined || table !== undefined) return [];
    const gateway = typeof gw === 'string' ? Ip.tryParse(gw) : gateways.find(({ family }) => family === prefix.family);
    return gateway === undefined ? [] : [{ dst: prefix, gateway }];
  });
}

/**
 * Opening a path in /proc fails with ESRCH where the process has just ended; an ordinary file may be where a pin was.
 */
function tryOpen(path: string) {
  try {
    return path === '' ? undefined : tryOpenNetns(path);
  } catch {
    return undefined;
  }
}
