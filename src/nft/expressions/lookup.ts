/** lookup: finds a register's content in a set, and in a map what belongs to it. NFTA_LOOKUP_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32, str } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const lookup = {
  set: [1, str], // NFTA_LOOKUP_SET
  sreg: [2, be32], // NFTA_LOOKUP_SREG
  dreg: [3, be32], // NFTA_LOOKUP_DREG
  setId: [4, be32], // NFTA_LOOKUP_SET_ID
  flags: [5, be32], // NFTA_LOOKUP_FLAGS
} as const satisfies AttrTable;

const NFT_LOOKUP_F_INV = 1;

/** Goes on where the set has it; inverted, where the set has it not. */
export function lookupSet(set: string, sreg: number, isInverted = false): Expression {
  return expression('lookup', lookup, { set, sreg, ...(isInverted && { flags: NFT_LOOKUP_F_INV }) });
}

/** Loads what the map has for it, or ends the rule. Into register 0: a verdict. */
export function lookupMap(map: string, sreg: number, dreg: number): Expression {
  return expression('lookup', lookup, { set: map, sreg, dreg });
}
