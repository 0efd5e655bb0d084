/**
 * match: an extension of iptables, as iptables-nft writes it. NFTA_MATCH_* of linux/netfilter/nf_tables_compat.h; the
 * info is the extension's struct.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32, bytes, str } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const match = {
  name: [1, str], // NFTA_MATCH_NAME
  revision: [2, be32], // NFTA_MATCH_REV
  info: [3, bytes], // NFTA_MATCH_INFO
} as const satisfies AttrTable;

export function matchExtension(name: string, revision: number, info: Uint8Array): Expression {
  return expression('match', match, { name, revision, info });
}
