/** Kinds of links that this kernel may lack. */

import { NetloomError } from '../error.ts';
import { ERRNO } from '../ffi/errno.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as link from '../rtnl/link.ts';

/** The build option of the kernel for each kind. */
const FEATURES: Readonly<Record<string, string>> = {
  macvlan: 'CONFIG_MACVLAN',
  ipvlan: 'CONFIG_IPVLAN',
  vlan: 'CONFIG_VLAN_8021Q',
  dummy: 'CONFIG_DUMMY',
};

/** The rest of a sentence after `Cannot …: `. */
export function lackOf(kind: string | undefined): string {
  return `this kernel has no ${kind}, it needs ${FEATURES[kind ?? ''] ?? 'that kind of link'}`;
}

/** Checks that the kernel has a kind; the kernel loads it where it is a module. @throws NetloomError not-available */
export function requireKind(nl: NetlinkSocket, kind: string): void {
  try {
    // NB: no link can have this name (dev_valid_name() of net/core/dev.c), so none is made: the kernel answers EINVAL
    // once it has found the kind.
    nl.find(link.add({ name: '/', linkinfo: { kind } }), ERRNO.EINVAL);
  } catch (cause) {
    if (!isUnknownKind(cause)) throw cause;
    throw new NetloomError('not-available', `Cannot create ${kind} links: ${lackOf(kind)}`, { cause });
  }
}

/** NB: by the kernel's own sentence. A master that takes no links of the kind gives the same errno. */
export function isUnknownKind(error: unknown): boolean {
  return error instanceof NetloomError && error.code === 'EOPNOTSUPP' && error.message.includes('Unknown device type');
}
