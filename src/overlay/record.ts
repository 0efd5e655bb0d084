/** The record of a node, as all stores have it. */
import { NetloomError } from '../error.ts';
import { Cidr } from '../net/cidr.ts';
import { Ip } from '../net/ip.ts';
import type { OverlayNode } from './network.ts';

/** A node as the store has it. */
export interface NodeRecord extends OverlayNode {
  /** The id of the machine that has the name: another machine with that name is refused. */
  readonly machine: string;
}

/** The change of one node: it has this record now, or the node of that name is gone. */
export type Change = { readonly put: NodeRecord } | { readonly gone: string };

/** A node that wants a prefix. */
export interface Applicant {
  readonly name: string;
  readonly address: Ip;
  readonly machine: string;
  /** The prefix that it had: its containers may still have addresses from it. */
  readonly former?: Cidr | undefined;
}

/**
 * The node that a JSON value describes; undefined where it describes none. A record that somebody else keeps has no
 * `machine`.
 */
export function recordOf(json: unknown): NodeRecord | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { name, address, subnet, machine = '', blocks = [] } = json as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || name === '' || typeof machine !== 'string') return undefined;
  const ip = typeof address === 'string' ? Ip.tryParse(address) : undefined;
  const prefix = prefixOf(subnet);
  if (ip === undefined || prefix === undefined) return undefined;
  const more = Array.isArray(blocks) ? blocks.flatMap((block) => prefixOf(block) ?? []) : [];
  return { name, address: ip, subnet: prefix, machine, ...(more.length > 0 && { blocks: more }) };
}

/** The error for a name that another machine has. */
export function nameTaken({ name, address }: NodeRecord): NetloomError {
  return new NetloomError(
    'name-taken',
    `Cannot join the overlay as "${name}": another machine has the name, at ${address}`,
    {
      hint: `give this machine another "node"; or if the other is gone for good: netloom overlay reclaim NETWORK ${name}`,
    },
  );
}

/** The error for reclaiming a node that is not there. */
export function noSuchNode(name: string, why: string): NetloomError {
  return new NetloomError('no-such-node', `Cannot reclaim the prefix of "${name}": ${why}`);
}

/** The error for reclaiming a node that was seen too recently. @param silence in seconds, like `grace` */
export function stillSeen({ name, subnet }: NodeRecord, silence: number, grace: number): NetloomError {
  return new NetloomError(
    'still-seen',
    `Cannot reclaim ${subnet} of "${name}": it was seen ${Math.max(0, Math.round(silence))} s ago, expected ${grace} s of silence`,
    { hint: 'stop its agent and wait, or set another --grace' },
  );
}

/** The error for reclaiming a node whose last sign of life is not known. */
export function neverSeen({ name, subnet }: NodeRecord, grace: number): NetloomError {
  return new NetloomError(
    'still-seen',
    `Cannot reclaim ${subnet} of "${name}": its agent has never reported, so it may be running, expected ${grace} s of silence`,
    { hint: 'if it is gone for good, use --grace 0' },
  );
}

function prefixOf(value: unknown): Cidr | undefined {
  const prefix = typeof value === 'string' ? Cidr.tryParse(value) : undefined;
  return prefix?.hasHostBits() === false ? prefix : undefined;
}
