/** Addresses from the node's prefix: gives host-local the ranges that follow from it. */
import type { CniCall } from '../../cni/call.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import { gatewayOf, type Intent } from '../../overlay/intent.ts';
import type { OverlayConf } from './conf.ts';

/** The call with the configuration that host-local needs to give out an address of this node. */
export function withNodeRange(
  call: CniCall<OverlayConf>,
  intent: Pick<Intent, 'network' | 'own'>,
): CniCall<OverlayConf> {
  const { subnet: first, blocks = [] } = intent.own;
  const { ip: gateway } = gatewayOf(intent);
  const subnet = gatewayOf(intent).network();
  return withRanges(call, [
    { subnet, rangeStart: gateway.plus(1n), rangeEnd: lastOf(first), gateway },
    ...blocks.map((block) => ({ subnet, rangeStart: block.first(), rangeEnd: lastOf(block), gateway })),
  ]);
}

/**
 * NB: the last address of a prefix within a larger subnet is no broadcast address, but it looks like one and is left
 * out.
 */
function lastOf(block: Cidr): Ip {
  return block.family === 4 ? block.last().plus(-1n) : block.last();
}

/**
 * The same for a DEL or a GC, which must work even if this host is no node any more. Leases are found by their owner.
 */
export function withAnyRange(call: CniCall<OverlayConf>): CniCall<OverlayConf> {
  return withRanges(call, [{ subnet: call.conf.subnet }]);
}

interface Range {
  readonly subnet: Cidr;
  readonly rangeStart?: Ip;
  readonly rangeEnd?: Ip;
  readonly gateway?: Ip;
}

function withRanges(call: CniCall<OverlayConf>, ranges: readonly Range[]): CniCall<OverlayConf> {
  const ipam = { ...call.conf.ipam, type: 'host-local', ranges: [ranges] };
  const json = JSON.parse(call.stdin) as Readonly<Record<string, unknown>>;
  return { ...call, conf: { ...call.conf, ipam }, stdin: JSON.stringify({ ...json, ipam }) };
}
