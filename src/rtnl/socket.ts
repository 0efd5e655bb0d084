/** The socket for rtnetlink. man 7 rtnetlink. */
import { printLine } from '../ffi/print.ts';
import { NetlinkSocket, type SocketOptions } from '../netlink/socket.ts';
import { isTraced, tracer } from '../netlink/trace.ts';
import { routeNames } from './trace.ts';

const NETLINK_ROUTE = 0;

/**
 * Opens an rtnetlink socket in the calling thread's network namespace; it stays there when the thread leaves. With NETLOOM_TRACE=netlink every message
 * is printed on stderr, unless the options have a tap of their own.
 */
export function openRoute(options: SocketOptions = {}): NetlinkSocket {
  const isPrinted = options.tap === undefined && isTraced(process.env['NETLOOM_TRACE']);
  return new NetlinkSocket(NETLINK_ROUTE, isPrinted ? { ...options, tap: tracer([routeNames], printLine) } : options);
}
