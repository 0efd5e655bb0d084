/**
 * Whose an element is, by its comment: `network/container/ifname`, or two hashes where that is too long
 * (attach/owner.ts).
 */
import { NetloomError } from '../error.ts';

/** The first part of a comment: `net` of `net/container/eth0`, or the first hash of a short one. */
export function networkOf(comment = ''): string {
  return comment.slice(0, comment.indexOf(comment.startsWith('#') ? '#' : '/', 1));
}

/**
 * An address is another holder's.
 * @param what what cannot be done, and for whom
 * @param where what else is known of the holder
 */
export function addressTaken(what: string, holder = 'unknown', where = ''): NetloomError {
  return new NetloomError('EEXIST', `Cannot ${what}: EEXIST, "${holder}" has the address${where}`, {
    hint: 'two networks give the same address: their subnets overlap',
  });
}
