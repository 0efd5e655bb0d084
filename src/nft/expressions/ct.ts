/** ct: what connection tracking knows about a packet's connection. NFTA_CT_*, NFT_CT_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32, u8 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const ct = {
  dreg: [1, be32], // NFTA_CT_DREG
  key: [2, be32], // NFTA_CT_KEY
  direction: [3, u8], // NFTA_CT_DIRECTION
  sreg: [4, be32], // NFTA_CT_SREG
} as const satisfies AttrTable;

export const CT = {
  state: 0,
  direction: 1,
  status: 2,
  mark: 3,
  'proto-dst': 12,
  'ip daddr': 20,
  'ip6 daddr': 22,
} as const;

const DIRECTIONS = { original: 0, reply: 1 } as const;
export type CtDirection = keyof typeof DIRECTIONS;

export function loadCt(key: keyof typeof CT, dreg: number, direction?: CtDirection): Expression {
  return expression('ct', ct, {
    key: CT[key],
    dreg,
    ...(direction !== undefined && { direction: DIRECTIONS[direction] }),
  });
}

export function setCt(key: 'mark', sreg: number): Expression {
  return expression('ct', ct, { key: CT[key], sreg });
}
