/**
 * Making the kernel forget connections: their next packet then goes where the rules of now say, as if it were the
 * first.
 */
import { hasCode } from '../../error.ts';
import type { Family } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { type Entry, list, remove, type Wanted } from './entry.ts';

/**
 * Deletes the entries that are wanted. A kernel without ctnetlink keeps them.
 * @param isWanted decides about each; the kernel's own filter only makes the list shorter
 * @returns how many were deleted
 */
export function forget(
  nft: NetlinkSocket,
  family: Family,
  wanted: Wanted,
  isWanted: (entry: Entry) => boolean,
): number {
  let entries: Entry[];
  try {
    entries = list(nft, family, wanted).filter(isWanted);
  } catch (error) {
    // nfnetlink without this subsystem says EINVAL.
    if (hasCode(error, 'EINVAL', 'EOPNOTSUPP', 'EAFNOSUPPORT')) return 0;
    throw error;
  }
  const errors = nft.attempt(entries.map(remove));
  for (const error of errors.values()) if (!hasCode(error, 'ENOENT')) throw error;
  return entries.length - errors.size;
}
