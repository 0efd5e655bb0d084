/**
 * byteorder: converts a register from network to host byte order, or back. It is only read back; no rule of ours uses
 * it. NFTA_BYTEORDER_*, NFT_BYTEORDER_*.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';

export const byteorder = {
  sreg: [1, be32], // NFTA_BYTEORDER_SREG
  dreg: [2, be32], // NFTA_BYTEORDER_DREG
  op: [3, be32], // NFTA_BYTEORDER_OP
  length: [4, be32], // NFTA_BYTEORDER_LEN
  size: [5, be32], // NFTA_BYTEORDER_SIZE
} as const satisfies AttrTable;
