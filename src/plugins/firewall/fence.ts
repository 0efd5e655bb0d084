/** Where a container's packets enter the host: the interface that routes them, and the container's bridge port. */
import type { Attached } from '../../attach/chained.ts';
import type { Differences } from '../../attach/verify.ts';
import { NetloomError } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { Fence } from '../../nft/firewall.ts';
import * as link from '../../rtnl/link.ts';
import { type FirewallConf, ingressOf } from './conf.ts';

/**
 * The restrictions for the interface; undefined if there are none.
 * @throws NetloomError invalid-config if there are restrictions, but no interface to apply them to
 */
export function fenceOf(conf: FirewallConf, links: readonly link.Link[]): Fence | undefined {
  const ingress = ingressOf(conf);
  if (ingress === 'open' && !conf.internal) return undefined;
  const found = routedBy(links);
  if (found !== undefined) return { ifname: found.name, ingress, internal: conf.internal };
  throw new NetloomError(
    'invalid-config',
    `failed to load netconf: ${conf.internal ? '"internal" is true' : `"ingressPolicy" is "${ingress}"`}, but no plugin before has an interface on the host`,
    { hint: 'chain "firewall" behind a plugin such as "bridge" or "ptp", through which the packets pass this host' },
  );
}

/**
 * The fence for a DEL, which has every restriction: the links may be gone, and the configuration may have changed.
 */
export function formerFence({ onHost }: Pick<Attached, 'onHost'>, links: readonly link.Link[]): Fence | undefined {
  const ifname = routedBy(links)?.name ?? onHost[0]?.name;
  return ifname === undefined ? undefined : { ifname, ingress: 'isolated', internal: true };
}

/**
 * Isolates the ports of a bridge from each other. Frames between them never come to the forward hook, so rules there
 * cannot drop them. man 8 bridge, "isolated".
 * Equivalent to: `bridge link set dev vethX isolated on`
 */
export function isolatePorts(nl: NetlinkSocket, links: readonly link.Link[], undo: DisposableStack): void {
  for (const { index } of links.filter((each) => isPort(each) && !isIsolated(each))) {
    undo.defer(() => {
      nl.attempt([setIsolated(index, false)]);
    });
    nl.execute(setIsolated(index, true));
  }
}

export function verifyIsolation(links: readonly link.Link[], differences: Differences): void {
  for (const each of links.filter(isPort)) {
    if (!isIsolated(each)) differences.add(`the port "${each.name}" is not isolated from the others of its bridge`);
  }
}

/**
 * The interface of a VLAN on a bridge, if there is one; otherwise the first link that is no port of a bridge: the
 * bridge itself, or the host's end of a wire.
 */
function routedBy(links: readonly link.Link[]): link.Link | undefined {
  return links.find(({ kind }) => kind === 'vlan') ?? links.find((each) => !isPort(each));
}

function isPort({ attrs }: link.Link): boolean {
  return attrs.linkinfo?.slaveKind === 'bridge';
}

function isIsolated({ attrs }: link.Link): boolean {
  const data = attrs.linkinfo?.slaveData as { readonly isolated?: boolean } | undefined;
  return data?.isolated === true;
}

function setIsolated(index: number, isolated: boolean) {
  return link.set({ index }, { linkinfo: { slaveKind: 'bridge', slaveData: { isolated } } });
}
