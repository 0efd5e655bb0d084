/** Fields that are looked up in the routing table. nft(8), "FIB EXPRESSIONS". */
import { fibAddrType } from '../datatype.ts';
import { registerAt } from '../expressions/expression.ts';
import { type FibFlag, lookupFib } from '../expressions/fib.ts';
import type { Field } from '../field.ts';

/** The type of an address: `fib daddr type local` matches the host's own addresses. */
export function fibType(
  ...flags: readonly Exclude<FibFlag, 'present'>[]
): Field<keyof typeof fibAddrType.numbers | number> {
  return {
    text: `fib ${flags.join(' . ')} type`,
    type: fibAddrType,
    needs: [],
    load: (offset) => [lookupFib('type', flags, registerAt(offset))],
  };
}
