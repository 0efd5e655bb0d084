/**
 * Who is in an overlay whose store the agent speaks to. The agent keeps what it knows last on disk (memory.ts) and says
 * how it stands with the store (standing.ts); an ADD reads both and asks nobody, so that it works while the store
 * cannot be reached, also after a boot.
 */
import { NetloomError } from '../error.ts';
import { libc } from '../ffi/libc.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Paths } from '../paths.ts';
import { fitting, type Members, type Membership, nodeName, type Surroundings, underlayAddress } from './membership.ts';
import { machineId, remembered } from './memory.ts';
import type { NodeRecord } from './record.ts';
import { readStanding } from './standing.ts';

/** How long an ADD waits for the agent to join the overlay, in ms. */
export const PATIENCE = 10_000;
/** How often it looks, in ms. */
const LOOK = 20;

/**
 * The members as the agent knows them.
 * @throws NetloomError not-available where this machine is none; name-taken and others where it was refused
 */
export function membersByAgent(nl: NetlinkSocket, of: Membership, around: Surroundings): Members {
  const known = around.records?.((message) => around.warn(message));
  const nodes = known ?? remembered(around.paths, of.network);
  const own = ownOf(nodes, of, around.paths);
  if (own === undefined) throw notYet(of, around.paths);
  const present = { ...own, address: presentAddress(nl, of) ?? own.address };
  return { own: present, nodes: fitting(nodes, present, of, around) };
}

/** Whether this machine is one, as far as the agent knows. */
function isKnown(of: Membership, { paths, warn, records }: Surroundings): boolean {
  return ownOf(records?.(warn) ?? remembered(paths, of.network), of, paths) !== undefined;
}

/**
 * Waits until the agent has joined the overlay: a bounded time, once in the life of a machine.
 * @param hears who knows it, before all that the agent has written down is read
 * @throws NetloomError try-again with what it waited for; name-taken and others where the store has refused this
 * machine
 */
export function awaitJoin(
  of: Membership,
  around: Surroundings,
  { patience = PATIENCE, hears = () => false }: { patience?: number; hears?: () => boolean } = {},
): void {
  const { paths } = around;
  let isHeard = false;
  const isMember = () => {
    isHeard ||= hears();
    return isHeard || isKnown(of, around);
  };
  if (waitFor(() => isMember() || refusal(of, paths) !== undefined, patience)) {
    const error = refusal(of, paths);
    if (error !== undefined && !isMember()) throw error;
    return;
  }
  const { message, hint } = notYet(of, paths);
  throw new NetloomError('try-again', `${message} (waited ${patience / 1000} s)`, hint === undefined ? {} : { hint });
}

/** Looks again and again for a time. @returns whether it came to hold */
export function waitFor(holds: () => boolean, patience: number): boolean {
  const limit = performance.now() + patience;
  while (!holds()) {
    if (performance.now() > limit) return false;
    libc.poll(null, 0, LOOK);
  }
  return true;
}

/** NB: a record of a machine that had the name before, or for another subnet, is not this node's. */
function ownOf(
  nodes: readonly NodeRecord[],
  { node, subnet, nodePrefix }: Membership,
  paths: Paths,
): NodeRecord | undefined {
  const name = nodeName({ node });
  const own = nodes.find((each) => each.name === name);
  if (own === undefined || own.machine !== machineId(paths)) return undefined;
  return own.subnet.prefix === nodePrefix && subnet.contains(own.subnet.ip) ? own : undefined;
}

/** The store has the address of when the agent looked last. */
function presentAddress(nl: NetlinkSocket, of: Membership): NodeRecord['address'] | undefined {
  try {
    return underlayAddress(nl, of);
  } catch {
    return undefined;
  }
}

/** What the store has refused this machine for, in its present configuration. */
function refusal(of: Membership, paths: Paths): NetloomError | undefined {
  const standing = readStanding(paths, of);
  return standing?.refusal === undefined ? undefined : new NetloomError(standing.refusal, standing.message);
}

function notYet(of: Membership, paths: Paths): NetloomError {
  const error = refusal(of, paths);
  if (error !== undefined) return error;
  const standing = readStanding(paths, of);
  const subject = `This machine, "${nodeName(of)}", is not a node of the overlay "${of.network}" yet`;
  if (standing !== undefined) return new NetloomError('not-available', `${subject}: ${standing.message}`);
  return new NetloomError('not-available', `${subject}: it waits for the agent, which has not reported on it`, {
    hint: `run "netloom agent", with the conflist in "${paths.conf}"`,
  });
}
