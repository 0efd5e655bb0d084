/**
 * The holder of an element, as its comment names it: `network/container/ifname`, or two hashes if that is too long
 * (attach/owner.ts).
 */
import { NetloomError } from '../error.ts';

/** The first part of a comment: `net` of `net/container/eth0`, or the first hash of a short one. */
export function networkOf(comment = ''): string {
  return comment.slice(0, comment.indexOf(comment.startsWith('#') ? '#' : '/', 1));
}

/**
 * The error for an address that another holder has.
 * @param what the action that failed, and for whom
 * @param where more about the holder; it ends the message
 */
export function addressTaken(what: string, holder = 'unknown', where = ''): NetloomError {
  return new NetloomError('EEXIST', `Cannot ${what}: EEXIST, "${holder}" has the address${where}`, {
    hint: 'two networks give the same address: their subnets overlap',
  });
}
