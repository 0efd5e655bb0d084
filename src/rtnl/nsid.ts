/**
 * Nsids: the numbers by which a network namespace refers to others. man 8 ip-netns; NETNSA_* of linux/net_namespace.h.
 */
import type { AttrTable } from '../netlink/attribute.ts';
import { s32, u8, u32 } from '../netlink/codec.ts';
import { type MessageKind, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { struct } from '../netlink/struct.ts';
import { RTM } from './constants.ts';

export const nsidKind = {
  name: 'nsid',
  header: struct({ family: u8 }),
  attrs: {
    nsid: [1, s32],
    pid: [2, u32],
    fd: [3, u32],
  } satisfies AttrTable,
} as const satisfies MessageKind;

/**
 * The nsid of another namespace in the socket's namespace; undefined where it has none. NB: the lookup does not assign
 * one. The kernel does when it first reports a link whose other end is there, so list the links first.
 * Equivalent to: `ip netns list-id`
 * @param fd descriptor of the other namespace
 */
export function lookup(nl: NetlinkSocket, fd: number): number | undefined {
  const wanted = request(
    nsidKind,
    RTM.GETNSID,
    0,
    {},
    { fd },
    { action: () => 'look up the number of a namespace', command: () => 'ip netns list-id' },
  );
  const nsid = nl.execute(wanted)?.attrs.nsid ?? -1;
  return nsid < 0 ? undefined : nsid;
}
