/**
 * Matches: statements that compare a field with values, ranges, prefixes and sets, and end the rule if the comparison
 * is false.
 */
import type { Cidr } from '../net/cidr.ts';
import { bitsOf } from '../net/ip.ts';
import type { Verdict } from './data.ts';
import { ifname } from './datatype.ts';
import { maskXor } from './expressions/bitwise.ts';
import { compare } from './expressions/cmp.ts';
import { type Expression, registerAt, VERDICT_REGISTER } from './expressions/expression.ts';
import { lookupMap, lookupSet } from './expressions/lookup.ts';
import { inRange } from './expressions/range.ts';
import type { Field } from './field.ts';
import type { AddressField } from './fields/ip.ts';
import type { NftSet } from './set.ts';
import type { Statement } from './statement.ts';

const REGISTER = registerAt(0);

/** `ip saddr 10.1.0.2`. */
export function eq<T>(field: Field<T>, value: T): Statement {
  const statement = match(field, field.type.text(value), [compare(REGISTER, 'eq', valueBytes(field, value))]);
  return field.provides === undefined ? statement : { ...statement, provides: field.provides(value) };
}

/** `ip saddr != 10.1.0.2`. */
export function ne<T>(field: Field<T>, value: T): Statement {
  return match(field, `!= ${field.type.text(value)}`, [compare(REGISTER, 'neq', valueBytes(field, value))]);
}

/** `tcp dport 80-90`. NB: only for types in network byte order; the kernel compares bytes. */
export function between<T>(field: Field<T>, first: T, last: T): Statement {
  const { type } = field;
  return match(field, type.rangeText(first, last), [
    compare(REGISTER, 'gte', type.encode(first)),
    compare(REGISTER, 'lte', type.encode(last)),
  ]);
}

/** `tcp dport != 80-90`. */
export function outside<T>(field: Field<T>, first: T, last: T): Statement {
  const { type } = field;
  return match(field, `!= ${type.rangeText(first, last)}`, [
    inRange(REGISTER, 'neq', type.encode(first), type.encode(last)),
  ]);
}

/** `ip daddr 10.1.0.0/24`. */
export function within(field: AddressField, subnet: Cidr): Statement {
  return prefix(field, subnet, 'eq');
}

/** `ip daddr != 10.1.0.0/24`. */
export function notWithin(field: AddressField, subnet: Cidr): Statement {
  return prefix(field, subnet, 'neq');
}

/** `ct state established,related`. One of these bits is enough. */
export function has<W extends string>(
  field: Field<W | number> & { readonly type: { readonly numbers?: Readonly<Record<W, number>> } },
  ...words: readonly W[]
): Statement {
  const bits = words.reduce((sum, word) => sum | (field.type.numbers?.[word] ?? 0), 0);
  const mask = field.type.encode(bits);
  return match(field, words.join(','), [
    maskXor(REGISTER, mask),
    compare(REGISTER, 'neq', new Uint8Array(mask.length)),
  ]);
}

/** `meta mark & 0x2000 == 0x2000`. */
export function masked(field: Field<number>, mask: number, value: number, op: 'eq' | 'neq' = 'eq'): Statement {
  const { text, type } = field;
  return {
    text: `${text} & ${type.text(mask)} ${op === 'eq' ? '==' : '!='} ${type.text(value)}`,
    needs: field.needs,
    expressions: [...field.load(0), maskXor(REGISTER, type.encode(mask)), compare(REGISTER, op, type.encode(value))],
  };
}

/** `ip saddr @peers`. */
export function inSet<K>(field: Field<K>, set: NftSet<K>): Statement {
  return match(field, `@${set.name}`, [lookupSet(set.name, REGISTER)]);
}

/** `ip saddr != @peers`. */
export function notInSet<K>(field: Field<K>, set: NftSet<K>): Statement {
  return match(field, `!= @${set.name}`, [lookupSet(set.name, REGISTER, true)]);
}

/** `ip saddr vmap @masquerade4`: carries out the map's verdict; without an element for it, the next rule follows. */
export function vmap<K>(field: Field<K>, map: NftSet<K, Verdict>): Statement {
  return match(field, `vmap @${map.name}`, [lookupMap(map.name, REGISTER, VERDICT_REGISTER)]);
}

function match<T>(field: Field<T>, operand: string, expressions: readonly Expression[]): Statement {
  return { text: `${field.text} ${operand}`, needs: field.needs, expressions: [...field.load(0), ...expressions] };
}

function prefix(field: AddressField, subnet: Cidr, op: 'eq' | 'neq'): Statement {
  const { prefix: length } = subnet;
  const address = subnet.first().bytes;
  const text = `${op === 'eq' ? '' : '!= '}${subnet.network()}`;
  if (length === bitsOf(subnet.family)) return match(field, text, [compare(REGISTER, op, address)]);
  // As in nft: a prefix of whole bytes needs no mask.
  if (length > 0 && length % 8 === 0) {
    const expressions = [field.loadFirst(length / 8), compare(REGISTER, op, address.subarray(0, length / 8))];
    return { text: `${field.text} ${text}`, needs: field.needs, expressions };
  }
  const mask = new Uint8Array(address.length);
  for (let i = 0; i < mask.length; i++) mask[i] = 0xff00 >> Math.min(Math.max(length - 8 * i, 0), 8);
  return match(field, text, [maskXor(REGISTER, mask), compare(REGISTER, op, address)]);
}

/** The bytes to compare with. Of an interface name that ends in `*`, those before the `*`, without the NUL. */
function valueBytes<T>(field: Field<T>, value: T): Uint8Array {
  const bytes = field.type.encode(value);
  const isPattern = isIfname(field) && typeof value === 'string' && value.endsWith('*');
  return isPattern ? bytes.subarray(0, bytes.indexOf(0) - 1) : bytes;
}

function isIfname<T>(field: Field<T>): boolean {
  return field.type.id === ifname.id;
}
