/** cmp: compares a register with a value, and ends the rule if the comparison is false. NFTA_CMP_*, NFT_CMP_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { data } from '../data.ts';
import { type Expression, expression } from './expression.ts';

export const cmp = {
  sreg: [1, be32], // NFTA_CMP_SREG
  op: [2, be32], // NFTA_CMP_OP
  data: [3, data], // NFTA_CMP_DATA
} as const satisfies AttrTable;

const OPS = { eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 } as const;

export function compare(sreg: number, op: keyof typeof OPS, value: Uint8Array): Expression {
  return expression('cmp', cmp, { sreg, op: OPS[op], data: { value } });
}
