/**
 * Numbers that choose among back ends: at random, in turn, or by a hash of fields. nft(8), "NUMGEN EXPRESSION" and
 * "HASH EXPRESSIONS".
 */
import { integer32, padded } from '../datatype.ts';
import { registerAt } from '../expressions/expression.ts';
import { jenkins } from '../expressions/hash.ts';
import { generate, type NumgenType } from '../expressions/numgen.ts';
import type { Field } from '../field.ts';

/** `numgen inc mod 3`: 0, 1, 2, 0, … */
export function numgen(type: NumgenType, modulus: number): Field<number> {
  return {
    text: `numgen ${type} mod ${modulus}`,
    type: integer32,
    needs: [],
    load: (offset) => [generate(type, modulus, registerAt(offset))],
  };
}

/** `jhash ip saddr mod 3`: the same number for the same field values. */
export function jhash<T>(of: Field<T>, modulus: number, seed?: number): Field<number> {
  return {
    text: `jhash ${of.text} mod ${modulus}${seed === undefined ? '' : ` seed 0x${seed.toString(16)}`}`,
    type: integer32,
    needs: of.needs,
    load(offset) {
      // As in nft: the hashed fields are loaded behind the result.
      const source = offset + 4;
      const length = of.type.fields?.reduce((sum, size) => sum + padded(size), 0) ?? of.type.size;
      return [
        ...of.load(source),
        jenkins({
          sreg: registerAt(source),
          dreg: registerAt(offset),
          length,
          modulus,
          ...(seed !== undefined && { seed }),
        }),
      ];
    },
  };
}
