/**
 * Addresses of an ADD, from the prefixes of this node. An address that is asked for and belongs to another node is
 * refused, with that node's name. If nodes take blocks from a common store (mode `l2` with etcd), the agent gets the
 * block of an address that no node has, and another block when all are full.
 */
import { allocate } from '../../attach/allocate.ts';
import type { CniCall } from '../../cni/call.ts';
import { readHeader } from '../../cni/config.ts';
import type { CniResult } from '../../cni/result.ts';
import { hasCode, NetloomError } from '../../error.ts';
import { askedOf, hostLocalSchema } from '../../ipam/host-local/config.ts';
import { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import { PATIENCE, waitFor } from '../../overlay/agent-members.ts';
import type { EtcdMembership } from '../../overlay/etcd/settings.ts';
import type { Intent } from '../../overlay/intent.ts';
import type { OverlayNode } from '../../overlay/network.ts';
import { readStanding } from '../../overlay/standing.ts';
import { isOpen, type Wish, wish } from '../../overlay/wishes.ts';
import { checkConf, type OverlayConf } from './conf.ts';
import { withNodeRange } from './ipam.ts';

/** This node, and its peers if they are known. */
type Here = Pick<Intent, 'network' | 'own'> & Partial<Pick<Intent, 'peers'>>;
type Everybody = Pick<Intent, 'network' | 'own' | 'peers'>;

/**
 * @param here what this node should have; its peers are read only if an address may be theirs
 * @param now reads all of it again, when there may be more blocks or peers
 * @throws NetloomError address-in-use with the holder; address-exhausted; try-again if the agent has got no block in
 * time
 */
export function allocateHere(
  call: CniCall<OverlayConf>,
  here: Here,
  now: () => Intent,
  undo: DisposableStack,
): CniResult {
  const { source } = checkConf(call.conf);
  const growing = 'etcd' in source && source.etcd.hasBlocks ? source.etcd : undefined;
  let present = here;
  for (const address of askedAddresses(call, here)) {
    let everybody = everybodyOf(present, now);
    if (growing !== undefined && isNobodys(address, everybody)) {
      ask(call, growing, new Cidr(address, growing.nodePrefix).network());
      everybody = now();
    }
    refuseForeign(address, everybody);
    present = everybody;
  }
  try {
    return allocate(withNodeRange(call, present), undo);
  } catch (error) {
    if (growing === undefined || !hasCode(error, 'address-exhausted')) throw error;
    ask(call, growing, 'any');
    const later = now();
    if (blocksOf(later.own).length === blocksOf(present.own).length) throw error;
    return allocate(withNodeRange(call, later), undo);
  }
}

function askedAddresses(call: CniCall<OverlayConf>, here: Here): readonly Ip[] {
  const conf = hostLocalSchema.read(readHeader(withNodeRange(call, here).stdin));
  return askedOf({ conf, args: call.args });
}

/** Waits until the agent has got a block, or knows that it cannot. @throws NetloomError try-again */
function ask({ paths }: CniCall<OverlayConf>, of: EtcdMembership, wanted: Wish): void {
  wish(paths, of.network, wanted);
  if (waitFor(() => !isOpen(paths, of.network, wanted), PATIENCE)) return;
  const block = wanted === 'any' ? 'another block of addresses' : `the block ${wanted}`;
  throw new NetloomError(
    'try-again',
    `Waited ${PATIENCE / 1000} s for the agent to get ${block} from etcd: ${readStanding(paths, of)?.message ?? 'it says nothing'}`,
  );
}

function everybodyOf({ peers, ...here }: Here, now: () => Intent): Everybody {
  return peers === undefined ? now() : { ...here, peers };
}

function isNobodys(address: Ip, { network, own, peers }: Everybody): boolean {
  return network.subnet.contains(address) && ![own, ...peers].some((node) => has(node, address));
}

/** NB: an address that no node has is refused by host-local, with the range that this node has. */
function refuseForeign(address: Ip, { peers }: Everybody): void {
  for (const node of peers) {
    const block = blocksOf(node).find((each) => each.contains(address));
    if (block === undefined) continue;
    throw new NetloomError(
      'address-in-use',
      `Cannot give the address ${address}: it is one of ${block}, which the node "${node.name}" has`,
      { hint: 'ask for an address of this node, or for none' },
    );
  }
}

function has(node: OverlayNode, address: Ip): boolean {
  return blocksOf(node).some((block) => block.contains(address));
}

function blocksOf({ subnet, blocks = [] }: OverlayNode): readonly Cidr[] {
  return [subnet, ...blocks];
}
