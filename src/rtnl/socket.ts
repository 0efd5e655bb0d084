import { NetlinkSocket, type SocketOptions } from '../netlink/socket.ts';

const NETLINK_ROUTE = 0;

/** Opens an rtnetlink socket in the calling thread's network namespace; it stays there when the thread leaves. man 7 rtnetlink. */
export function openRoute(options: SocketOptions = {}): NetlinkSocket {
  return new NetlinkSocket(NETLINK_ROUTE, options);
}
