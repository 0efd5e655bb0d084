/**
 * The one table of netloom, `inet netloom`, and how its parts share it.
 *
 * A feature (masquerading, port maps, forwarding, policy) owns objects in it: base chains of its own, named after it,
 * with a fixed list of rules, and the sets and maps that these rules look into. They are made together in one batch, by
 * the first endpoint that needs them. Endpoints are elements; what a network needs is one regular chain. A newer
 * netloom with an additional feature finds that feature's objects missing and makes them.
 *
 * Layout. The base chain's comment carries a mark, such as `netloom masquerade, layout 1`. The mark changes with every
 * change that another version could not handle (a map's type, the rules' meaning), and the objects' names change with
 * it. During an upgrade both versions then work side by side, each on its own objects, and the old objects are removed
 * with the last container that uses them. (The table's own comment cannot be such a mark: it stays as the first version
 * wrote it.)
 *
 * Look before you write. A batch that the kernel refuses costs 12 ms, whatever the reason: __nf_tables_abort() waits
 * for RCU. Reading an object by its name costs 0.02 ms, a batch that succeeds 0.02 to 0.35 ms (Linux 6.18; 40 of each).
 * So a change first reads what exists, by name and never by listing, and sends what is missing. Only if another process
 * was faster (ENOENT, EEXIST, EBUSY) it starts again.
 *
 * The last endpoint removes the table: netloom leaves a host's ruleset as it found it. Making the table again costs 0.3
 * ms. The batch has the generation in which the table was found unused: if anything was added since, the kernel
 * refuses.
 */
import { hasCode, NetloomError } from '../error.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { commit } from './batch.ts';
import * as chain from './chain.ts';
import { hasAny } from './element.ts';
import * as generation from './generation.ts';
import * as set from './set.ts';
import * as table from './table.ts';

export const netloomTable: table.Table = { family: 'inet', name: 'netloom', comment: 'made by netloom' };

/**
 * How often a change is tried because another process changes the same objects. Each time at least one of them makes
 * progress.
 */
const TRIES = 100;

/** Makes a change that reads and then writes, and repeats it when another process came in between. */
export function withRetries(what: string, change: () => void): void {
  let cause: unknown;
  for (let i = 0; i < TRIES; i++) {
    try {
      change();
      return;
    } catch (error) {
      if (!(error instanceof NetlinkError) || !hasCode(error, 'ENOENT', 'EEXIST', 'EBUSY', 'ERESTART')) throw error;
      cause = error;
    }
  }
  throw new NetloomError('conflict', `Cannot ${what}: the table "inet netloom" changed under it ${TRIES} times`, {
    hint: "objects that are not netloom's may have the same names: see `nft list table inet netloom`",
    cause,
  });
}

/** Whether a feature's objects exist. @throws NetloomError conflict if they have the layout of another version */
export function hasLayout(nft: NetlinkSocket, base: chain.Chain): boolean {
  const found = chain.get(nft, base);
  if (found === undefined) return false;
  if (found.isBase && found.comment === base.comment) return true;
  throw new NetloomError(
    'conflict',
    `Cannot use the chain "${chain.chainText(base)}": its layout is "${found.comment ?? 'unknown'}", expected "${base.comment}"`,
    { hint: 'another program or version made it; if no container uses it, run `nft delete table inet netloom`' },
  );
}

/**
 * Sends the requests that `plan` makes from what it reads. If the ruleset has changed in between, plans again.
 * @returns false if it changed every time
 */
export function atGeneration(nft: NetlinkSocket, plan: () => readonly Request[]): boolean {
  for (let i = 0; i < TRIES; i++) {
    try {
      const seen = generation.get(nft);
      const requests = plan();
      if (requests.length > 0) commit(nft, requests, { generation: seen });
      return true;
    } catch (error) {
      // Another generation; an object is gone that was just there; the ruleset changed while it was read.
      if (!hasCode(error, 'ERESTART', 'ENOENT', 'EINTR')) throw error;
    }
  }
  return false;
}

/**
 * Removes a table of ours if no endpoint is left in it. Safe at any time, even while other processes change it: in
 * doubt the table stays.
 * @returns whether it is gone
 */
export function removeIfUnused(nft: NetlinkSocket, of: table.Table = netloomTable): boolean {
  let isGone = false;
  const isDone = atGeneration(nft, () => {
    const isThere = table.get(nft, of) !== undefined;
    isGone = !isThere || !isUsed(nft, of);
    return isThere && isGone ? [table.remove(of)] : [];
  });
  return isDone && isGone;
}

/**
 * Base chains, chains with a layout's mark and empty sets do not count. Any other regular chain belongs to a network;
 * these are looked for first, because there are few.
 */
function isUsed(nft: NetlinkSocket, of: table.Table): boolean {
  if (chain.list(nft, of).some((each) => !each.isBase && !isFixed(each.comment))) return true;
  return set.list(nft, of).some((each) => hasAny(nft, of, each.name));
}

/** Whether a comment is the mark of a feature's fixed objects: `netloom FEATURE, layout N`. */
function isFixed(comment: string | undefined): boolean {
  return comment?.startsWith('netloom ') === true && comment.includes(', layout ');
}
