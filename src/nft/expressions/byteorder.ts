/**
 * byteorder: turns a register from the network's order to the machine's, or back. Only read: nothing here needs it.
 * NFTA_BYTEORDER_*, NFT_BYTEORDER_*.
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
