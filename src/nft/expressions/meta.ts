/** meta: what the kernel knows about a packet besides its bytes. NFTA_META_*, NFT_META_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const meta = {
  dreg: [1, be32], // NFTA_META_DREG
  key: [2, be32], // NFTA_META_KEY
  sreg: [3, be32], // NFTA_META_SREG
} as const satisfies AttrTable;

export const META = {
  mark: 3,
  iif: 4,
  oif: 5,
  iifname: 6,
  oifname: 7,
  iiftype: 8,
  nftrace: 12,
  nfproto: 15,
  l4proto: 16,
  pkttype: 19,
} as const;

export function loadMeta(key: keyof typeof META, dreg: number): Expression {
  return expression('meta', meta, { key: META[key], dreg });
}

export function setMeta(key: 'mark' | 'nftrace', sreg: number): Expression {
  return expression('meta', meta, { key: META[key], sreg });
}
