/** The socket for nf_tables. */
import { hasCode, NetloomError } from '../error.ts';
import { NetlinkSocket, type SocketOptions } from '../netlink/socket.ts';
import { traced } from '../netlink/trace.ts';
import * as generation from './generation.ts';
import { NETLINK_NETFILTER } from './message.ts';
import { nftNames } from './trace.ts';

/**
 * Opens a socket to the nf_tables of the calling thread's network namespace. The socket stays in that namespace when
 * the thread leaves it. With NETLOOM_TRACE=netlink every message is printed on stderr, unless the options have a tap of
 * their own.
 */
export function openNft(options: SocketOptions = {}): NetlinkSocket {
  try {
    return new NetlinkSocket(NETLINK_NETFILTER, traced(nftNames, options));
  } catch (error) {
    if (!hasCode(error, 'EPROTONOSUPPORT')) throw error;
    throw new NetloomError('unsupported', 'Cannot use nf_tables: the kernel lacks it (CONFIG_NF_TABLES)', {
      hint: 'load the module nf_tables or use a kernel built with CONFIG_NF_TABLES',
      cause: error,
    });
  }
}

/** Like openNft(), but undefined if the kernel has no nf_tables: then it has no rules to look for. */
export function tryOpenNft(): NetlinkSocket | undefined {
  using undo = new DisposableStack();
  try {
    const nft = undo.use(openNft());
    generation.get(nft);
    undo.move();
    return nft;
  } catch (error) {
    // EOPNOTSUPP, EINVAL: the kernel has nfnetlink, but no nf_tables.
    if (hasCode(error, 'unsupported', 'EOPNOTSUPP', 'EINVAL')) return undefined;
    throw error;
  }
}

/** For STATUS. @throws NetloomError not-available if the kernel has no nf_tables */
export function requireNft(cannot: string): void {
  const nft = tryOpenNft();
  if (nft === undefined) {
    throw new NetloomError('not-available', `${cannot}: the kernel has no nf_tables (CONFIG_NF_TABLES)`);
  }
  nft.close();
}
