/**
 * Explains in one sentence what a kernel answers that lacks a part of nf_tables.
 *
 * nfnetlink without nf_tables refuses a batch with EOPNOTSUPP on its first message (nfnetlink_rcv_batch) and a plain
 * request with EINVAL (nfnetlink_rcv_msg). A missing chain type or expression gives ENOENT, like a missing name: only
 * the kind of request tells them apart (nf_tables_chain_type_lookup, nft_expr_type_get).
 */
import { NetloomError } from '../error.ts';
import type { NetlinkError } from '../netlink/error.ts';

/** The error for a refusal that means a missing feature or privilege, or undefined if it means something else. */
export function unsupported(error: NetlinkError): NetloomError | undefined {
  if (error.request.kind.name !== 'batch') return undefined;
  if (error.code === 'EOPNOTSUPP') return missing(error, 'nf_tables', 'CONFIG_NF_TABLES');
  if (error.code === 'EPERM') {
    return new NetloomError('EPERM', `Cannot change nf_tables: EPERM, it needs CAP_NET_ADMIN (root)`, { cause: error });
  }
  return undefined;
}

/**
 * Like unsupported(), for a batch that creates everything it refers to: ENOENT then means that the kernel lacks a
 * feature.
 */
export function unsupportedMeans(error: NetlinkError): NetloomError | undefined {
  const { kind } = error.request;
  if (error.code === 'EAFNOSUPPORT') return missing(error, 'the inet family of nf_tables', 'CONFIG_NF_TABLES_INET');
  if (error.code !== 'ENOENT' && error.code !== 'EOPNOTSUPP') return undefined;
  if (kind.name === 'chain') return missing(error, 'NAT chains in nf_tables', 'CONFIG_NFT_NAT');
  if (kind.name === 'rule') return missing(error, 'an expression of nf_tables', 'CONFIG_NFT_MASQ, CONFIG_NFT_NAT');
  if (kind.name === 'set') return missing(error, 'a kind of set in nf_tables', 'CONFIG_NF_TABLES');
  return undefined;
}

function missing(error: NetlinkError, what: string, option: string): NetloomError {
  return new NetloomError('unsupported', `Cannot ${error.request.action}: the kernel lacks ${what} (${option})`, {
    hint: `load the module or use a kernel built with ${option}`,
    cause: error,
    ...(error.details !== undefined && { details: error.details }),
  });
}
