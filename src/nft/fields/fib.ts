/** Fields that the routing table answers. nft(8), "FIB EXPRESSIONS". */
import { fibAddrType } from '../datatype.ts';
import { registerAt } from '../expressions/expression.ts';
import { type FibFlag, lookupFib } from '../expressions/fib.ts';
import type { Field } from '../field.ts';

/** What kind of address it is: `fib daddr type local` holds for the host's own. */
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
