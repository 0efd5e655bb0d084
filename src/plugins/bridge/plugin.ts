/** bridge: a veth pair from the container to a bridge on the host, which may be the container's gateway. */

import { configureInterface } from '../../attach/addresses.ts';
import { allocate } from '../../attach/allocate.ts';
import { announce, awaitCarrier } from '../../attach/announce.ts';
import { collectStale, detach } from '../../attach/detach.ts';
import { dnsOf } from '../../attach/dns.ts';
import { enableForwarding } from '../../attach/forwarding.ts';
import { gather } from '../../attach/gather.ts';
import { guardPort, removeStaleGuards, unguardPort } from '../../attach/guard.ts';
import { masquerade } from '../../attach/masquerade.ts';
import { type ContainerSide, openContainer, refuseTakenIfname } from '../../attach/namespace.ts';
import { addWire, refuseDuplicate, type Wire } from '../../attach/wire.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { ipamStatus } from '../../ipam/delegate.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { requireNft } from '../../nft/socket.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { ensureBridge, findBridge } from './bridge.ts';
import { check } from './check.ts';
import { askedMac, type BridgeConf, checkConf, schema } from './conf.ts';
import { ensureAddress, ensureVlanInterface, type GatewayPlan, planGateways } from './gateway.ts';
import { configurePort } from './port.ts';

/** The index of the container's interface in the result: after the bridge and the host's end. */
const CONTAINER_INDEX = 2;

export const bridge: Plugin<BridgeConf> = {
  type: 'bridge',
  about: 'a veth pair from the container to a bridge on the host',
  schema,
  add,
  del,
  check,
  gc,
  status,
};

function add(call: CniCall<BridgeConf>): CniResult {
  const { conf } = call;
  checkConf(conf);
  const mac = askedMac(call);
  using container = openContainer(call);
  using nl = openRoute();
  using undo = new DisposableStack();
  refuseTakenIfname(container, call.ifname);
  refuseDuplicate(nl, call);
  const existing = findBridge(nl, conf.bridge);
  const ipam = allocate(call, undo);
  const plan = planGateways(conf, ipam, CONTAINER_INDEX);
  const bridge = ensureBridge(nl, conf, existing, undo);
  const wire = addWire(nl, container, call, { mtu: conf.mtu, mac, master: bridge.index }, undo);
  configurePort(nl, wire.host.index, conf);
  if (conf.macspoofchk) guardPort(call, wire.host.name, wire.container.mac, undo);
  if (!conf.disableContainerInterface) configure(call, container, wire, plan);
  const vlanInterface = makeGateway(nl, conf, bridge, wire, plan, undo);
  if (conf.ipMasq) masquerade(call, plan.ips, undo);
  const [bridgeNow, hostEnd] = settle(nl, container, conf, bridge, wire);
  const result = describe(call, [bridgeNow, hostEnd, vlanInterface], wire, plan, ipam);
  undo.move(); // All of it stands: nothing to undo.
  return result;
}

function configure(
  { conf, ifname }: CniCall<BridgeConf>,
  container: ContainerSide,
  wire: Wire,
  plan: GatewayPlan,
): void {
  configureInterface(container, {
    ifname,
    index: wire.container.index,
    ips: plan.ips,
    routes: plan.routes,
    probesDuplicates: conf.enabledad,
  });
}

/** @returns the interface of the VLAN, if that has the gateway's address instead of the bridge */
function makeGateway(
  nl: NetlinkSocket,
  conf: BridgeConf,
  bridge: link.Link,
  wire: Wire,
  { addresses }: GatewayPlan,
  undo: DisposableStack,
): link.Link | undefined {
  if (addresses.length === 0) return undefined;
  const port = wire.host.index;
  const vlanInterface = conf.vlan > 0 ? ensureVlanInterface(nl, bridge, conf.vlan, port, undo) : undefined;
  const target = { bridge, on: vlanInterface ?? bridge, port };
  for (const address of addresses) ensureAddress(nl, target, address, conf.forceAddress, undo);
  enableForwarding(addresses.map(({ family }) => family));
  return vlanInterface;
}

/**
 * Waits until frames pass, then announces the container to its neighbours. A bridge gets its carrier from its first
 * port, in another round of the kernel's link watch. Until then its own replies are dropped, and the container's first
 * request to the gateway is lost.
 * @returns the bridge and the host's end as they are then
 */
function settle(
  nl: NetlinkSocket,
  container: ContainerSide,
  conf: BridgeConf,
  bridge: link.Link,
  wire: Wire,
): [bridge: link.Link, hostEnd: link.Link] {
  if (conf.disableContainerInterface) {
    return [link.get(nl, { index: bridge.index }), link.get(nl, { index: wire.host.index })];
  }
  const hostEnd = awaitCarrier(nl, wire.host.index);
  if (hostEnd.master !== bridge.index) {
    throw new NetloomError('try-again', `"${conf.bridge}" was removed while the container was being attached to it`);
  }
  const bridgeNow = awaitCarrier(nl, bridge.index);
  announce(container, wire.container.index, wire.container.mac);
  return [bridgeNow, hostEnd];
}

function describe(
  call: CniCall<BridgeConf>,
  [bridge, hostEnd, vlanInterface]: readonly [link.Link, link.Link, link.Link | undefined],
  { container }: Wire,
  { ips, routes }: GatewayPlan,
  ipam: CniResult,
): CniResult {
  const onHost = ({ name, mac, mtu }: link.Link) => ({ name, ...(mac !== undefined && { mac }), mtu });
  return {
    interfaces: [
      onHost(bridge),
      onHost(hostEnd),
      { name: container.name, mac: container.mac, mtu: hostEnd.mtu, sandbox: call.netns },
      ...(vlanInterface === undefined ? [] : [onHost(vlanInterface)]),
    ],
    ips,
    routes,
    ...dnsOf(call.conf, ipam),
  };
}

function del(call: CniCall<BridgeConf>): void {
  gather(
    () => detach(call),
    () => {
      if (call.conf.macspoofchk) unguardPort(call);
    },
  );
}

function gc(call: CniCall<BridgeConf>): void {
  gather(
    () => collectStale(call),
    () => removeStaleGuards(call),
  );
}

/** @throws NetloomError not-available with the reason */
function status(call: CniCall<BridgeConf>): void {
  const { conf } = call;
  checkConf(conf);
  if (conf.ipMasq) requireNft('Cannot masquerade');
  if (conf.macspoofchk) requireNft('Cannot guard against frames from other MACs');
  using nl = openRoute();
  findBridge(nl, conf.bridge);
  if (conf.ipam !== undefined) ipamStatus(call);
}
