/** numgen: a random number, or a counter that wraps around. NFTA_NG_*, NFT_NG_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const numgen = {
  dreg: [1, be32], // NFTA_NG_DREG
  modulus: [2, be32], // NFTA_NG_MODULUS
  type: [3, be32], // NFTA_NG_TYPE
  offset: [4, be32], // NFTA_NG_OFFSET
} as const satisfies AttrTable;

const TYPES = { inc: 0, random: 1 } as const;
export type NumgenType = keyof typeof TYPES;

export function generate(type: NumgenType, modulus: number, dreg: number): Expression {
  return expression('numgen', numgen, { dreg, modulus, type: TYPES[type], offset: 0 });
}
