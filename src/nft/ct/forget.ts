/**
 * Makes the kernel forget connections. The next packet of each is then handled by the current rules, like the first
 * packet of a new connection.
 */
import { hasCode } from '../../error.ts';
import type { Family } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { type Entry, list, remove, type Wanted } from './entry.ts';

/**
 * Deletes the entries that isWanted() selects. Without ctnetlink in the kernel nothing is deleted.
 * @param wanted the kernel's filter; it only makes the list shorter
 * @param isWanted decides for each entry
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
