/** bitwise: dreg = (sreg & mask) ^ xor. NFTA_BITWISE_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { data } from '../data.ts';
import { type Expression, expression } from './expression.ts';

export const bitwise = {
  sreg: [1, be32], // NFTA_BITWISE_SREG
  dreg: [2, be32], // NFTA_BITWISE_DREG
  length: [3, be32], // NFTA_BITWISE_LEN
  mask: [4, data], // NFTA_BITWISE_MASK
  xor: [5, data], // NFTA_BITWISE_XOR
  op: [6, be32], // NFTA_BITWISE_OP: if omitted, mask and xor
} as const satisfies AttrTable;

/** Works in one register. Without `xor` it only clears bits. */
export function maskXor(register: number, mask: Uint8Array, xor: Uint8Array = new Uint8Array(mask.length)): Expression {
  return expression('bitwise', bitwise, {
    sreg: register,
    dreg: register,
    length: mask.length,
    mask: { value: mask },
    xor: { value: xor },
  });
}
