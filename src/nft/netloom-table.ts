/**
 * The one table of netloom, `inet netloom`, and how its parts share it.
 *
 * A feature (masquerading, port maps, forwarding, policy) owns objects in it: base chains of its own, named after it,
 * with a fixed list of rules, and the sets and maps that these rules look into. They are made together in one batch, by
 * the first endpoint that needs them. Endpoints are elements; what a network needs is one regular chain. A newer
 * netloom with one feature more finds its objects missing and makes them.
 *
 * Layout. The base chain's comment carries a mark, such as `netloom masquerade, layout 1`. The mark changes with
 * anything that another version would trip over (a map's type, the rules' meaning), and then the objects' names change
 * too: both versions then work side by side during an upgrade, each on its own objects, and the old ones go with the
 * last container that they serve. (The table's own comment cannot be such a mark: it stays as the first version wrote
 * it.)
 *
 * Look before you write. A batch that the kernel refuses costs 12 ms, whatever the reason: __nf_tables_abort() waits
 * for RCU. Reading an object by its name costs 0.02 ms, a batch that succeeds 0.02 to 0.35 ms (Linux 6.18; 40 of each).
 * So a change reads first what is there, by name and never by listing, sends what fits, and only where another process
 * was faster (ENOENT, EEXIST, EBUSY) does it all again.
 *
 * The last one out removes the table: netloom leaves a host's ruleset as it found it. Making the table anew costs 0.3
 * ms. The generation in the batch proves to the kernel that nothing has come since it was seen to be unused.
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
 * How often a change is tried again because another process changed the same: each time at least one of them has got
 * on.
 */
const TRIES = 100;

/** Does a change that reads and then writes, again for as long as another process comes between. */
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

/** Whether a feature's objects are there. @throws NetloomError where another version laid them out */
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
 * Sends what follows from what is read, if nothing has changed in between, and else reads again.
 * @returns whether it came to that
 */
export function atGeneration(nft: NetlinkSocket, plan: () => readonly Request[]): boolean {
  for (let i = 0; i < TRIES; i++) {
    try {
      const seen = generation.get(nft);
      const requests = plan();
      if (requests.length > 0) commit(nft, requests, { generation: seen });
      return true;
    } catch (error) {
      // Another generation; something gone that was just there; changed while it was read.
      if (!hasCode(error, 'ERESTART', 'ENOENT', 'EINTR')) throw error;
    }
  }
  return false;
}

/**
 * Removes a table of ours where no endpoint is left in it. Safe at any time, whoever else works on it: it stays where
 * in doubt.
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
 * Base chains, chains with a layout's mark and empty sets serve nobody. Any other regular chain is a network's, and is
 * looked for first: there are few.
 */
function isUsed(nft: NetlinkSocket, of: table.Table): boolean {
  if (chain.list(nft, of).some((each) => !each.isBase && !isFixed(each.comment))) return true;
  return set.list(nft, of).some((each) => hasAny(nft, of, each.name));
}

/** Whether a comment is the mark of a feature's fixed objects: `netloom FEATURE, layout N`. */
function isFixed(comment: string | undefined): boolean {
  return comment?.startsWith('netloom ') === true && comment.includes(', layout ');
}
