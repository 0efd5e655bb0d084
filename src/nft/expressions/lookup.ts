/** lookup: looks up a register's content in a set, or its data in a map. NFTA_LOOKUP_*. */
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

/** Goes on with the rule if the set contains the key; inverted, if it does not. */
export function lookupSet(set: string, sreg: number, isInverted = false): Expression {
  return expression('lookup', lookup, { set, sreg, ...(isInverted && { flags: NFT_LOOKUP_F_INV }) });
}

/** Loads the map's data for the key, or ends the rule if there is none. With register 0 as `dreg`, it is a verdict. */
export function lookupMap(map: string, sreg: number, dreg: number): Expression {
  return expression('lookup', lookup, { set: map, sreg, dreg });
}
