/** fib: a lookup in the routing table. NFTA_FIB_*, NFT_FIB_RESULT_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const fib = {
  dreg: [1, be32], // NFTA_FIB_DREG
  result: [2, be32], // NFTA_FIB_RESULT
  flags: [3, be32], // NFTA_FIB_FLAGS
} as const satisfies AttrTable;

const RESULTS = { oif: 1, oifname: 2, type: 3 } as const;

/** NFTA_FIB_F_*: what is looked up. */
const FIB_FLAGS = { saddr: 1, daddr: 2, mark: 4, iif: 8, oif: 16, present: 32 } as const;
export type FibFlag = keyof typeof FIB_FLAGS;

export function lookupFib(result: keyof typeof RESULTS, flags: readonly FibFlag[], dreg: number): Expression {
  return expression('fib', fib, {
    dreg,
    result: RESULTS[result],
    flags: flags.reduce((sum, flag) => sum | FIB_FLAGS[flag], 0),
  });
}
