/** Addresses of the node's prefix: host-local, told the ranges that follow from it. */
import type { CniCall } from '../../cni/call.ts';
import type { Cidr } from '../../net/cidr.ts';
import { gatewayOf, type Intent } from '../../overlay/intent.ts';
import type { OverlayConf } from './conf.ts';

/** The call with the configuration that host-local needs to give out an address of this node. */
export function withNodeRange(
  call: CniCall<OverlayConf>,
  intent: Pick<Intent, 'network' | 'own'>,
): CniCall<OverlayConf> {
  const { subnet } = intent.own;
  const gateway = gatewayOf(intent);
  return withRange(call, {
    subnet: gateway.network(),
    rangeStart: gateway.ip.plus(1n),
    // NB: the last of a prefix within a larger subnet is no broadcast address, but next to it one that looks like it is spared.
    rangeEnd: subnet.family === 4 ? subnet.last().plus(-1n) : subnet.last(),
    gateway: gateway.ip,
  });
}

/** The same for a DEL or a GC, which must work where this machine is no node any more. Leases are found by their owner. */
export function withAnyRange(call: CniCall<OverlayConf>): CniCall<OverlayConf> {
  return withRange(call, { subnet: call.conf.subnet });
}

function withRange(call: CniCall<OverlayConf>, range: { readonly subnet: Cidr } & Readonly<Record<string, unknown>>) {
  const ipam = { ...call.conf.ipam, type: 'host-local', ranges: [[range]] };
  const json = JSON.parse(call.stdin) as Readonly<Record<string, unknown>>;
  return { ...call, conf: { ...call.conf, ipam }, stdin: JSON.stringify({ ...json, ipam }) };
}
