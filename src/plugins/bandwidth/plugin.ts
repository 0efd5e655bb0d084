/**
 * bandwidth: limits the rate at which a container sends and receives, as a chained plugin after one that makes a veth.
 * Seen from the container, ingress is what it receives. https://www.cni.dev/plugins/current/meta/bandwidth/
 */
import { type Attached, attachedOf } from '../../attach/chained.ts';
import { gather } from '../../attach/gather.ts';
import { removeHostLink, removeStaleLinks } from '../../attach/links.ts';
import { type ContainerSide, openContainer, tryOpenContainer } from '../../attach/namespace.ts';
import { aliasOf, ownerOf, validOwners } from '../../attach/owner.ts';
import { Differences } from '../../attach/verify.ts';
import { hostEndName } from '../../attach/wire.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { ignoring, NetloomError } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute, requireRoute } from '../../rtnl/socket.ts';
import * as filter from '../../rtnl/tc/filter.ts';
import { INGRESS_HANDLE, TC_H } from '../../rtnl/tc/message.ts';
import * as qdisc from '../../rtnl/tc/qdisc.ts';
import { type BandwidthConf, type Shaping, schema, shapingOf } from './conf.ts';
import { addIfb, ifbName } from './ifb.ts';
import { ROOT_HANDLE, shape, shapeDifferences } from './shape.ts';

/** The name of the reference's ifb begins with this; a hash follows. */
const REFERENCE_IFB = 'bwp';
/** Bytes of a frame beyond its MTU. */
const ETHERNET_HEADER = 14;

export const bandwidth: Plugin<BandwidthConf> = {
  type: 'bandwidth',
  about: 'limits the rate at which a container sends and receives, in a chain',
  schema,
  add,
  del,
  check,
  gc(call) {
    using nl = openRoute();
    removeStaleLinks(nl, call.conf.name, validOwners(call));
  },
  status(call) {
    shapingOf(call.conf);
    requireRoute();
  },
};

function add(call: CniCall<BandwidthConf>): CniResult {
  const shaping = shapingOf(call.conf);
  const attached = attachedOf(call);
  if (!isShaped(shaping)) return attached.result;
  using container = openContainer(call);
  using nl = openRoute();
  using undo = new DisposableStack();
  const hostEnd = requireHostEnd(nl, container, attached, call.ifname);
  refuseForeignDisciplines(nl, hostEnd, shaping);
  warnOfShortBursts(call, shaping, hostEnd);
  limitIngress(nl, hostEnd, shaping, undo);
  const ifb = limitEgress(nl, call, hostEnd, shaping, undo);
  undo.move(); // All of it stands: nothing to undo.
  return withInterface(attached.result, ifb);
}

function isShaped({ ingress, egress }: Shaping): boolean {
  return ingress !== undefined || egress !== undefined;
}

/**
 * @throws NetloomError no-link if the interface is not the end of a veth, or no earlier plugin has made its other end
 */
function requireHostEnd(nl: NetlinkSocket, container: ContainerSide, { onHost }: Attached, ifname: string): link.Link {
  const hostEnd = findHostEnd(nl, container, ifname);
  if (hostEnd !== undefined && onHost.some(({ name }) => name === hostEnd.name)) return hostEnd;
  throw new NetloomError(
    'no-link',
    `Cannot limit "${ifname}": it is not the end of a veth whose other end is among the host's interfaces in prevResult`,
    { hint: 'bandwidth comes after a plugin that makes a veth, such as bridge or ptp' },
  );
}

/** The other end of the container's interface, if that is a veth. */
function findHostEnd(nl: NetlinkSocket, container: ContainerSide, ifname: string): link.Link | undefined {
  const inside = link.find(container.nl, { name: ifname });
  if (inside?.kind !== 'veth' || inside.attrs.link === undefined) return undefined;
  const end = link.find(nl, { index: inside.attrs.link });
  // NB: an index is valid only in its namespace. If the other end is elsewhere, its index may be another link's here.
  return end?.kind === 'veth' && end.attrs.link === inside.index ? end : undefined;
}

/** @throws NetloomError conflict, before anything was changed */
function refuseForeignDisciplines(nl: NetlinkSocket, hostEnd: link.Link, { ingress, egress }: Shaping): void {
  const root = ingress && qdisc.find(nl, hostEnd.index, TC_H.ROOT);
  const entry = egress && qdisc.find(nl, hostEnd.index, TC_H.INGRESS);
  // The kernel's default discipline has the handle 0.
  const found = [root, entry].find((each) => each !== undefined && each.handle !== 0);
  if (found === undefined) return;
  throw new NetloomError(
    'conflict',
    `Cannot limit what passes "${hostEnd.name}": it has the queueing discipline ${found.kind} already`,
    { hint: 'one plugin of a chain, or one program of the host, can shape an interface' },
  );
}

function warnOfShortBursts(call: CniCall<BandwidthConf>, { ingress, egress }: Shaping, { mtu }: link.Link): void {
  const frame = mtu + ETHERNET_HEADER;
  for (const [key, limit] of Object.entries({ ingressBurst: ingress, egressBurst: egress })) {
    if (limit !== undefined && limit.burst < frame)
      call.warn(`"${key}" is ${limit.burst * 8} bits, less than a frame of ${frame} bytes: such frames are dropped`);
  }
}

function limitIngress(nl: NetlinkSocket, hostEnd: link.Link, { ingress, peers }: Shaping, undo: DisposableStack): void {
  if (ingress === undefined) return;
  undo.defer(() => removeRoot(nl, hostEnd.index));
  nl.executeAll(shape(hostEnd.index, ingress, peers, 'src'));
}

/** @returns the ifb that it made, if any */
function limitEgress(
  nl: NetlinkSocket,
  call: CniCall,
  hostEnd: link.Link,
  { egress, peers }: Shaping,
  undo: DisposableStack,
): link.Link | undefined {
  if (egress === undefined) return undefined;
  const ifb = addIfb(nl, ownerOf(call), hostEnd, undo);
  undo.defer(() => removeIngress(nl, hostEnd.index, (redirect) => redirect === ifb.index));
  // NB: the limit first, or packets would pass without one. The redirection last.
  nl.executeAll([
    ...shape(ifb.index, egress, peers, 'dst'),
    qdisc.addIngress(hostEnd.index),
    filter.addU32({
      link: hostEnd.index,
      parent: INGRESS_HANDLE,
      priority: 1,
      protocol: filter.ETH_P.ALL,
      keys: [{ mask: 0, value: 0, offset: 0 }],
      redirect: ifb.index,
    }),
  ]);
  return ifb;
}

function withInterface(result: CniResult, ifb: link.Link | undefined): CniResult {
  if (ifb === undefined) return result;
  const { name, mac, mtu } = ifb;
  return { ...result, interfaces: [...(result.interfaces ?? []), { name, ...(mac !== undefined && { mac }), mtu }] };
}

/**
 * Removes the limits and the ifb; that of the reference plugin too, if prevResult names it. Needs neither the namespace
 * nor prevResult: without them the host's end is found by its mark, and one without a mark is gone with its namespace.
 */
function del(call: CniCall<BandwidthConf>): void {
  const owner = ownerOf(call);
  using nl = openRoute();
  const theirs = referenceIfb(nl, call);
  const ours = link.find(nl, { name: ifbName(owner) });
  const isItsIfb = (index: number) => index === ours?.index || index === theirs?.index || !exists(nl, index);
  gather(
    () => {
      const hostEnd = hostEndToClean(nl, call, owner);
      if (hostEnd === undefined) return;
      gather(
        () => removeIngress(nl, hostEnd.index, isItsIfb),
        () => removeRoot(nl, hostEnd.index),
      );
    },
    () => removeHostLink(nl, ifbName(owner), owner),
    () => {
      if (theirs !== undefined) ignoring(['ENODEV'], () => nl.execute(link.remove({ index: theirs.index })));
    },
  );
}

function hostEndToClean(nl: NetlinkSocket, call: CniCall, owner: string): link.Link | undefined {
  const marked = link.find(nl, { name: hostEndName(owner) });
  if (marked?.alias === aliasOf(owner)) return marked;
  using container = tryOpenContainer(call);
  return container && findHostEnd(nl, container, call.ifname);
}

function referenceIfb(nl: NetlinkSocket, { conf }: CniCall): link.Link | undefined {
  const name = conf.prevResult?.interfaces?.find(
    (each) => each.name.startsWith(REFERENCE_IFB) && each.sandbox === undefined,
  )?.name;
  const found = name === undefined ? undefined : link.find(nl, { name });
  return found?.kind === 'ifb' ? found : undefined;
}

/** NB: a redirection to a link that is gone has the index 0. */
function exists(nl: NetlinkSocket, index: number): boolean {
  return index !== 0 && link.find(nl, { index }) !== undefined;
}

/** Removes the limit of a link, if it has the form that we give it. */
function removeRoot(nl: NetlinkSocket, index: number): void {
  ignoring(['ENOENT', 'ENODEV'], () => {
    const found = qdisc.find(nl, index, TC_H.ROOT);
    if (found?.handle !== ROOT_HANDLE || (found.kind !== 'tbf' && found.kind !== 'htb')) return;
    nl.execute(qdisc.remove(index, TC_H.ROOT));
  });
}

/** Removes the redirection of incoming packets, if it leads to the ifb or to no link at all. */
function removeIngress(nl: NetlinkSocket, index: number, isItsIfb: (index: number) => boolean): void {
  // NB: the kernel may remove the link with its namespace in the meantime: each of these can fail with ENODEV.
  ignoring(['ENOENT', 'EINVAL', 'ENODEV'], () => {
    if (qdisc.find(nl, index, TC_H.INGRESS)?.kind !== 'ingress') return;
    const filters = filter.list(nl, index, INGRESS_HANDLE);
    if (!filters.every(({ redirect }) => redirect !== undefined && isItsIfb(redirect))) return;
    nl.execute(qdisc.remove(index, TC_H.INGRESS));
  });
}

/** @throws NetloomError check-failed, with every difference */
function check(call: CniCall<BandwidthConf>): void {
  const shaping = shapingOf(call.conf);
  const attached = attachedOf(call);
  if (!isShaped(shaping)) return;
  using container = openContainer(call);
  using nl = openRoute();
  const hostEnd = requireHostEnd(nl, container, attached, call.ifname);
  const differences = new Differences();
  differences.add(...differencesOf(nl, call, hostEnd, shaping));
  differences.throwIfAny();
}

function differencesOf(
  nl: NetlinkSocket,
  call: CniCall,
  hostEnd: link.Link,
  { ingress, egress, peers }: Shaping,
): string[] {
  const received = ingress === undefined ? [] : shapeDifferences(nl, hostEnd, ingress, peers, 'src');
  if (egress === undefined) return received;
  const name = ifbName(ownerOf(call));
  const ifb = link.find(nl, { name });
  if (ifb === undefined) return [...received, `the interface "${name}" on the host is missing`];
  const leads =
    qdisc.find(nl, hostEnd.index, TC_H.INGRESS) !== undefined &&
    filter.list(nl, hostEnd.index, INGRESS_HANDLE).some(({ redirect }) => redirect === ifb.index);
  return [
    ...received,
    ...(ifb.isUp ? [] : [`"${name}" on the host is down`]),
    ...(leads ? [] : [`what comes in by "${hostEnd.name}" does not go to "${name}"`]),
    ...shapeDifferences(nl, ifb, egress, peers, 'dst'),
  ];
}
