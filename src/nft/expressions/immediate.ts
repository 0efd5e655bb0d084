/** immediate: loads a value into a register, or a verdict into register 0. NFTA_IMMEDIATE_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { data, type Verdict, verdictData } from '../data.ts';
import { type Expression, expression, VERDICT_REGISTER } from './expression.ts';

export const immediate = {
  dreg: [1, be32], // NFTA_IMMEDIATE_DREG
  data: [2, data], // NFTA_IMMEDIATE_DATA
} as const satisfies AttrTable;

export function loadValue(value: Uint8Array, dreg: number): Expression {
  return expression('immediate', immediate, { dreg, data: { value } });
}

export function loadVerdict(verdict: Verdict): Expression {
  return expression('immediate', immediate, { dreg: VERDICT_REGISTER, data: verdictData(verdict) });
}
