/** The socket for nf_tables. */
import { hasCode, NetloomError } from '../error.ts';
import { NetlinkSocket, type SocketOptions } from '../netlink/socket.ts';
import { NETLINK_NETFILTER } from './message.ts';

/** Opens a socket to the nf_tables of the calling thread's network namespace; it stays there when the thread leaves. */
export function openNft(options: SocketOptions = {}): NetlinkSocket {
  try {
    return new NetlinkSocket(NETLINK_NETFILTER, options);
  } catch (error) {
    if (!hasCode(error, 'EPROTONOSUPPORT')) throw error;
    throw new NetloomError('unsupported', 'Cannot use nf_tables: the kernel lacks it (CONFIG_NF_TABLES)', {
      hint: 'load the module nf_tables or use a kernel built with CONFIG_NF_TABLES',
      cause: error,
    });
  }
}
