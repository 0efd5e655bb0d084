/**
 * byteorder: turns a register from the network's order to the machine's, or back. NFTA_BYTEORDER_*, NFT_BYTEORDER_*.
 */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const byteorder = {
  sreg: [1, be32], // NFTA_BYTEORDER_SREG
  dreg: [2, be32], // NFTA_BYTEORDER_DREG
  op: [3, be32], // NFTA_BYTEORDER_OP
  length: [4, be32], // NFTA_BYTEORDER_LEN
  size: [5, be32], // NFTA_BYTEORDER_SIZE
} as const satisfies AttrTable;

const OPS = { ntoh: 0, hton: 1 } as const;

/** In one register. @param size of each number in it */
export function reorder(op: keyof typeof OPS, register: number, length: number, size: 2 | 4 | 8): Expression {
  return expression('byteorder', byteorder, { sreg: register, dreg: register, op: OPS[op], length, size });
}
