/**
 * A lease of host-local: a file named by the address, which holds the container's id and the interface's name. The
 * reference wrote only the id until its version 0.8, and such files still exist.
 */

import { hasCode, NetloomError } from '../../error.ts';
import { O, tryOpen } from '../../ffi/file.ts';
import { check, libc, uninterrupted } from '../../ffi/libc.ts';
import { ifnameFault } from '../../net/ifname.ts';

/** The owner of a lease. */
export interface Owner {
  readonly containerId: string;
  /** Empty in a file with the id only: the lease may belong to any of the container's interfaces. */
  readonly ifname: string;
}

export type LeaseContent =
  | { readonly state: 'owned'; readonly owner: Owner }
  /** Left by a crash between the two steps of the reference, or by a power loss. It belongs to nobody. */
  | { readonly state: 'empty' }
  | { readonly state: 'damaged'; readonly why: string }
  /** The owner is unknown: an I/O error, or too many open files. The next try may succeed. */
  | { readonly state: 'unreadable'; readonly error: NetloomError };

/** More than any runtime's id and interface name together. */
const LIMIT = 4096;

/** The errnos of open(2) and read(2) for a directory, a socket or a link to itself. */
const NOT_A_FILE = ['EISDIR', 'ENXIO', 'ELOOP'];

export function leaseText({ containerId, ifname }: Owner): string {
  return `${containerId}\r\n${ifname}`;
}

/** Ignores white space at both ends, as the reference does. */
export function parseLease(text: string): LeaseContent {
  if (text === '') return { state: 'empty' };
  if (text.length > LIMIT) return { state: 'damaged', why: `it has more than ${LIMIT} bytes` };
  const [containerId = '', ifname = '', ...more] = text.trim().split(/\r?\n/);
  if (!/^[\x21-\x7e]+$/.test(containerId) || containerId.includes('/')) {
    return { state: 'damaged', why: 'its first line is not the id of a container' };
  }
  if (more.length > 0) return { state: 'damaged', why: 'it has more than two lines' };
  if (ifname !== '' && ifnameFault(ifname) !== undefined) {
    return { state: 'damaged', why: 'its second line is not the name of an interface' };
  }
  return { state: 'owned', owner: { containerId, ifname } };
}

/**
 * The content of a lease file; undefined where there is none. Does not throw for bad files: one of them must not affect
 * other leases.
 */
export function readLease(path: string): LeaseContent | undefined {
  try {
    // O_NONBLOCK: opening a FIFO would wait for a writer.
    using fd = tryOpen(path, O.RDONLY | O.NONBLOCK);
    if (fd === undefined) return undefined;
    return parseLease(new TextDecoder().decode(readUpTo(fd.number, LIMIT + 1, path)));
  } catch (error) {
    if (hasCode(error, ...NOT_A_FILE)) return { state: 'damaged', why: `it is not a file, ${error.code}` };
    if (error instanceof NetloomError) return { state: 'unreadable', error };
    throw error;
  }
}

/** A read may return less than the file has: on a network file system, or when a signal arrives. */
function readUpTo(fd: number, limit: number, path: string): Uint8Array {
  const buffer = new Uint8Array(limit);
  let length = 0;
  while (length < limit) {
    const room = buffer.subarray(length);
    const count = check(
      uninterrupted(() => libc.read(fd, room, room.length)),
      `read "${path}"`,
    );
    if (count === 0) break;
    length += count;
  }
  return buffer.subarray(0, length);
}

/** Whether two owners are the same, interface included. */
export function isSameOwner(one: Owner, other: Owner): boolean {
  return one.containerId === other.containerId && one.ifname === other.ifname;
}
