/** The numbers by which a network namespace knows others. man 8 ip-netns; NETNSA_* of linux/net_namespace.h. */
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
 * By which number the socket's namespace knows another one; undefined where it has given it none. NB: asking gives none
 * either: the kernel does that when it first tells of a link whose other end is there, so list the links before.
 * Equivalent to: `ip netns list-id`
 * @param fd of the other namespace
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
