/**
 * overlay: containers of several hosts in one network. Each host is a node with a prefix of the network's subnet, on a
 * bridge of its own. The way to the other nodes is a tunnel, or in the mode `direct` the layer 2 that they share.
 * docs/overlay.md
 */

import { configureInterface } from '../../attach/addresses.ts';
import { announce, awaitCarrier } from '../../attach/announce.ts';
import { collectStale, detach } from '../../attach/detach.ts';
import { dnsOf } from '../../attach/dns.ts';
import { enableForwarding } from '../../attach/forwarding.ts';
import { gather } from '../../attach/gather.ts';
import { masquerade } from '../../attach/masquerade.ts';
import { openContainer, refuseTakenIfname } from '../../attach/namespace.ts';
import { configureRouted } from '../../attach/routed-wire.ts';
import { addWire, refuseDuplicate, type Wire } from '../../attach/wire.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniIp, CniResult, CniRoute } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { ipamStatus } from '../../ipam/delegate.ts';
import { Cidr } from '../../net/cidr.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { requireNft } from '../../nft/socket.ts';
import { awaitJoin } from '../../overlay/agent-members.ts';
import type { OverlayDevices } from '../../overlay/devices.ts';
import type { Intent } from '../../overlay/intent.ts';
import { withOverlayLock } from '../../overlay/lock.ts';
import { isMember, requireStore } from '../../overlay/members.ts';
import { containerMac } from '../../overlay/network.ts';
import type * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { allocateHere } from './allocate.ts';
import { check } from './check.ts';
import { askedMac, checkConf, isRouted, type OverlayConf, schema } from './conf.ts';
import { guard, requireGuard } from './guard.ts';
import { intentOf, masquerades, withReading } from './intent.ts';
import { withAnyRange, withNodeRange } from './ipam.ts';
import { carriedBy, courseOf, keeperFor } from './kept.ts';
import { leave } from './leave.ts';

/** The index of the container's interface in the result: after the bridge, if it is on one, and the host's end. */
const CONTAINER_INDEX = { bridge: 2, routed: 1 } as const;

export const overlay: Plugin<OverlayConf> = {
  type: 'overlay',
  about: 'containers of several machines in one network, by VXLAN or by routes',
  schema,
  add,
  del,
  check,
  gc,
  status,
};

function add(call: CniCall<OverlayConf>): CniResult {
  const { conf } = call;
  const { source } = checkConf(conf);
  const wiring = isRouted(conf) ? 'routed' : 'bridge';
  const asked = askedMac(call);
  using container = openContainer(call);
  using nl = openRoute();
  using undo = new DisposableStack();
  refuseTakenIfname(container, call.ifname);
  refuseDuplicate(nl, call);
  const reading = withReading(call);
  using keeper = keeperFor(call);
  let carried = carriedBy(nl, keeper);
  const hears = () => {
    carried ??= carriedBy(nl, keeper);
    return carried !== undefined;
  };
  if ('etcd' in source) awaitJoin(source.etcd, reading, { hears });
  const course = courseOf(nl, call, reading, keeper, carried);
  const { here } = course;
  const ipam = allocateHere(call, here, () => intentOf(nl, reading, false), undo);
  const ips = (ipam.ips ?? []).map((ip): CniIp => ({ ...ip, interface: CONTAINER_INDEX[wiring] }));
  const routes = [...routesInside(here, conf, ips), ...(ipam.routes ?? [])];
  const mac = asked ?? containerMac(conf.name, ips[0]?.address.ip ?? here.own.address);
  undo.defer(() => leave(call));
  const [devices, wire] = withOverlayLock(call.paths, () => {
    const devices = course.devices();
    const { index: master, mtu } = devices.bridge;
    const port = wiring === 'bridge' ? { master } : {};
    return [devices, addWire(nl, container, call, { mtu, mac, ...port }, undo)] as const;
  });
  course.reach(devices);
  guard(here, conf);
  if (wiring === 'routed') configureRouted(nl, container, wire, ips, routes);
  else {
    const { name: ifname, index } = wire.container;
    configureInterface(container, { ifname, index, ips, routes, probesDuplicates: false });
  }
  enableForwarding([here.network.subnet.family]);
  if (masquerades(conf)) masquerade(call, ips, undo, conf.subnet);
  settle(nl, wire, wiring === 'bridge' ? devices.bridge : undefined);
  announce(container, wire.container.index, wire.container.mac);
  const result = describe(call, devices, wire, { ...ipam, ips, routes });
  undo.move(); // All of it stands: nothing to undo.
  return result;
}

/**
 * The routes by the gateway: to the other nodes' prefixes and, unless the network is internal, to everything else. In
 * the mode `l2` the other nodes' containers are on the link.
 */
function routesInside(
  { network }: Pick<Intent, 'network'>,
  { internal }: OverlayConf,
  ips: readonly CniIp[],
): CniRoute[] {
  return ips.flatMap(({ gateway }): CniRoute[] => {
    if (gateway === undefined) return [];
    return [
      ...(network.mode === 'l2' ? [] : [{ dst: network.subnet, gw: gateway }]),
      ...(internal ? [] : [{ dst: Cidr.everything(gateway.family), gw: gateway }]),
    ];
  });
}

/** Waits until frames pass. @param bridge the one that the host's end is a port of */
function settle(nl: NetlinkSocket, { host }: Wire, bridge: link.Link | undefined): void {
  const { master } = awaitCarrier(nl, host.index);
  if (bridge === undefined) return;
  if (master !== bridge.index) {
    throw new NetloomError(
      'try-again',
      'The bridge of the overlay was removed while the container was being attached to it',
    );
  }
  awaitCarrier(nl, bridge.index);
}

function describe(
  call: CniCall<OverlayConf>,
  { bridge }: OverlayDevices,
  { host, container }: Wire,
  { ips = [], routes = [], ...ipam }: CniResult,
): CniResult {
  const { mtu } = bridge;
  return {
    interfaces: [
      ...(isRouted(call.conf)
        ? []
        : [{ name: bridge.name, ...(bridge.mac !== undefined && { mac: bridge.mac }), mtu }]),
      { name: host.name, mac: host.mac, mtu },
      { name: container.name, mac: container.mac, mtu, sandbox: call.netns },
    ],
    ips,
    routes,
    ...dnsOf(call.conf, ipam),
  };
}

/** NB: the devices last. They go with the last container, and a container counts until its wire is gone. */
function del(call: CniCall<OverlayConf>): void {
  gather(
    () => detach(asVeth(call)),
    () => leave(call),
  );
}

function gc(call: CniCall<OverlayConf>): void {
  gather(
    () => collectStale(asVeth(call)),
    () => leave(call),
  );
}

function asVeth(call: CniCall<OverlayConf>): CniCall<OverlayConf> {
  const withIpam = withAnyRange(call);
  return { ...withIpam, conf: { ...withIpam.conf, ipMasq: masquerades(call.conf) } };
}

/**
 * A host that is no node of a directory yet may become one with its first ADD.
 * @throws NetloomError not-available with the reason
 */
function status(call: CniCall<OverlayConf>): void {
  const { network, source } = checkConf(call.conf);
  if (masquerades(call.conf)) requireNft('Cannot masquerade');
  requireGuard({ network }, call.conf);
  using nl = openRoute();
  if ('file' in source && !isMember(source.file)) requireStore(nl, source.file);
  else ipamStatus(withNodeRange(call, intentOf(nl, call, false)));
}
