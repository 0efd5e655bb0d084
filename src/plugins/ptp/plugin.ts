/**
 * ptp: a veth pair that is routed rather than bridged. The host's end has the gateway's address; the container sends
 * everything there, even what goes to its own subnet. https://www.cni.dev/plugins/current/main/ptp/
 */

import * as v from 'valibot';
import { allocate } from '../../attach/allocate.ts';
import { collectStale, detach } from '../../attach/detach.ts';
import { dnsOf } from '../../attach/dns.ts';
import { enableForwarding } from '../../attach/forwarding.ts';
import { masquerade, verifyMasquerade } from '../../attach/masquerade.ts';
import { openContainer, refuseTakenIfname } from '../../attach/namespace.ts';
import { configureRouted, type RoutedIp, verifyHostEnd } from '../../attach/routed-wire.ts';
import { Differences, verifyAddresses, verifyInContainer } from '../../attach/verify.ts';
import { addWire, refuseDuplicate, type Wire } from '../../attach/wire.ts';
import type { CniCall } from '../../cni/call.ts';
import { boolean, type ConfOf, confSchema, integer, prevResultOf, text } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniIp, CniResult } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { ipamCheck, ipamStatus } from '../../ipam/delegate.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { requireNft } from '../../nft/socket.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute, requireRoute } from '../../rtnl/socket.ts';

/** The index of the container's interface in the result: after the host's end. */
const CONTAINER_INDEX = 1;

const schema = confSchema(() => ({
  ipMasq: v.optional(boolean, false),
  ipMasqBackend: v.exactOptional(text),
  mtu: v.optional(integer(0, 65535), 0),
}));

type PtpConf = ConfOf<typeof schema>;

export const ptp: Plugin<PtpConf> = {
  type: 'ptp',
  about: 'a routed veth pair, the gateway on the host end',
  schema,
  add,
  del: detach,
  check,
  gc: collectStale,
  status,
};

function add(call: CniCall<PtpConf>): CniResult {
  const { conf } = call;
  requireIpam(conf);
  using container = openContainer(call);
  using nl = openRoute();
  using undo = new DisposableStack();
  refuseTakenIfname(container, call.ifname);
  refuseDuplicate(nl, call);
  const ipam = allocate(call, undo);
  const ips = (ipam.ips ?? []).map(withGateway);
  const routes = ipam.routes ?? [];
  const wire = addWire(nl, container, call, { mtu: conf.mtu }, undo);
  configureRouted(nl, container, wire, ips, routes);
  enableForwarding(ips.map(({ address }) => address.family));
  if (conf.ipMasq) masquerade(call, ips, undo);
  const result = describe(call, nl, wire, { ...ipam, ips, routes });
  undo.move(); // All of it stands: nothing to undo.
  return result;
}

function requireIpam(conf: PtpConf): void {
  if (conf.ipam === undefined) {
    throw new NetloomError(
      'invalid-config',
      'failed to load netconf: "ipam" is missing, expected an object with a "type"',
    );
  }
}

function withGateway(ip: CniIp): RoutedIp {
  if (ip.gateway === undefined) {
    throw new NetloomError(
      'ipam-failed',
      `IPAM plugin gave ${ip.address} without a gateway, which ptp puts on the host`,
    );
  }
  return { ...ip, gateway: ip.gateway, interface: CONTAINER_INDEX };
}

function describe(
  call: CniCall<PtpConf>,
  nl: NetlinkSocket,
  wire: Wire,
  { ips = [], routes = [], ...ipam }: CniResult,
): CniResult {
  const { host, container } = wire;
  const { mtu } = link.get(nl, { index: host.index });
  return {
    interfaces: [
      { name: host.name, mac: host.mac, mtu },
      { name: container.name, mac: container.mac, mtu, sandbox: call.netns },
    ],
    ips,
    routes,
    ...dnsOf(call.conf, ipam),
  };
}

/** @throws NetloomError check-failed, with every difference */
function check(call: CniCall<PtpConf>): void {
  const result = prevResultOf(call.conf);
  requireIpam(call.conf);
  ipamCheck(call);
  const differences = new Differences();
  using container = openContainer(call);
  using nl = openRoute();
  const found = verifyInContainer(container.nl, call.ifname, result, 'veth', differences);
  if (found !== undefined) {
    verifyAddresses(container.nl, found.index, result, differences);
    verifyHostEnd(nl, found, result, differences);
  }
  if (call.conf.ipMasq) verifyMasquerade(call, result.ips ?? [], differences);
  differences.throwIfAny();
}

/** @throws NetloomError not-available with the reason */
function status(call: CniCall<PtpConf>): void {
  requireIpam(call.conf);
  if (call.conf.ipMasq) requireNft('Cannot masquerade');
  requireRoute();
  ipamStatus(call);
}
