/** hash: Jenkins' hash of a register. NFTA_HASH_*, NFT_HASH_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const hash = {
  sreg: [1, be32], // NFTA_HASH_SREG
  dreg: [2, be32], // NFTA_HASH_DREG
  length: [3, be32], // NFTA_HASH_LEN
  modulus: [4, be32], // NFTA_HASH_MODULUS
  seed: [5, be32], // NFTA_HASH_SEED
  offset: [6, be32], // NFTA_HASH_OFFSET
  type: [7, be32], // NFTA_HASH_TYPE
} as const satisfies AttrTable;

const NFT_HASH_JENKINS = 0;

export interface Jhash {
  readonly sreg: number;
  readonly dreg: number;
  /** How many bytes to hash, starting at sreg. */
  readonly length: number;
  readonly modulus: number;
  /** Without it the kernel picks one at random. */
  readonly seed?: number;
}

export function jenkins(values: Jhash): Expression {
  return expression('hash', hash, { ...values, offset: 0, type: NFT_HASH_JENKINS });
}
