/** range: whether a register lies between two values, both included. NFTA_RANGE_*, NFT_RANGE_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { data } from '../data.ts';
import { type Expression, expression } from './expression.ts';

export const range = {
  sreg: [1, be32], // NFTA_RANGE_SREG
  op: [2, be32], // NFTA_RANGE_OP
  from: [3, data], // NFTA_RANGE_FROM_DATA
  to: [4, data], // NFTA_RANGE_TO_DATA
} as const satisfies AttrTable;

const OPS = { eq: 0, neq: 1 } as const;

export function inRange(sreg: number, op: keyof typeof OPS, from: Uint8Array, to: Uint8Array): Expression {
  return expression('range', range, { sreg, op: OPS[op], from: { value: from }, to: { value: to } });
}
