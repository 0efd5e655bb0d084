/**
 * The members of an overlay whose store only the agent talks to. The agent keeps the nodes it last knew on disk
 * (memory.ts), and its state with the store (standing.ts). An ADD reads both and asks nobody, so it also works while
 * the store is unreachable, even after a boot.
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
/** How often waitFor() looks, in ms. */
const LOOK = 20;

/**
 * The members as the agent knows them.
 * @throws NetloomError not-available where this machine is not a member yet; name-taken and others where the store
 * refused it
 */
export function membersByAgent(nl: NetlinkSocket, of: Membership, around: Surroundings): Members {
  const known = around.records?.((message) => around.warn(message));
  const nodes = known ?? remembered(around.paths, of.network);
  const own = ownOf(nodes, of, around.paths);
  if (own === undefined) throw notYet(of, around.paths);
  const present = { ...own, address: presentAddress(nl, of) ?? own.address };
  return { own: present, nodes: fitting(nodes, present, of, around) };
}

/** Whether this machine is a member, as far as the agent knows. */
function isKnown(of: Membership, { paths, warn, records }: Surroundings): boolean {
  return ownOf(records?.(warn) ?? remembered(paths, of.network), of, paths) !== undefined;
}

/**
 * Waits until the agent has joined the overlay. The wait is bounded, and happens once in the life of a machine.
 * @param hears whether the agent says so already; asked before its records are read
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

/** Polls until a condition holds, for at most `patience` ms. @returns whether it came to hold */
export function waitFor(holds: () => boolean, patience: number): boolean {
  const limit = performance.now() + patience;
  while (!holds()) {
    if (performance.now() > limit) return false;
    libc.poll(null, 0, LOOK);
  }
  return true;
}

/** NB: a record for another subnet, or from another machine that had this name before, is not this node's. */
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

/** The address that this machine has now. The one in the store is from the agent's last look. */
function presentAddress(nl: NetlinkSocket, of: Membership): NodeRecord['address'] | undefined {
  try {
    return underlayAddress(nl, of);
  } catch {
    return undefined;
  }
}

/** Why the store has refused this machine with its present configuration; undefined where it has not. */
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
