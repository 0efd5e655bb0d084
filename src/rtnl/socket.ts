/** The socket for rtnetlink. man 7 rtnetlink. */
import { NetlinkSocket, type SocketOptions } from '../netlink/socket.ts';
import { traced } from '../netlink/trace.ts';
import { routeNames } from './trace.ts';

const NETLINK_ROUTE = 0;

/**
 * Opens an rtnetlink socket in the calling thread's network namespace; it stays there when the thread leaves. With
 * NETLOOM_TRACE=netlink every message is printed on stderr, unless the options have a tap of their own.
 */
export function openRoute(options: SocketOptions = {}): NetlinkSocket {
  return new NetlinkSocket(NETLINK_ROUTE, traced(routeNames, options));
}

/**
 * For STATUS: checks whether this process can open such a socket at all.
 * @throws NetloomError with the reason
 */
export function requireRoute(): void {
  openRoute().close();
}
