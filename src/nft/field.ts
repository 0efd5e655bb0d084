/**
 * Fields: what a rule can look at, such as `ip saddr` or `ct state`. A field has its text in nft's language, a type,
 * and the expressions that load it.
 */
import { concat as concatType, type DataType, padded } from './datatype.ts';
import { compare } from './expressions/cmp.ts';
import { type Expression, registerAt } from './expressions/expression.ts';
import { loadMeta } from './expressions/meta.ts';
import type { Dependency } from './statement.ts';

export interface Field<T> {
  readonly text: string;
  readonly type: DataType<T>;
  readonly needs: readonly Dependency[];
  /** The name of the dependency that is met by a comparison with this value. */
  provides?(value: T): string;
  /** Loads the field into registers, at an offset in bytes from the first one. */
  load(offset: number): readonly Expression[];
}

/** Several fields in one key: `ip daddr . tcp dport`. */
export function concat<T extends readonly unknown[]>(...fields: { readonly [K in keyof T]: Field<T[K]> }): Field<T> {
  const parts: readonly Field<unknown>[] = fields;
  const types = parts.map((part) => part.type) as unknown as { readonly [K in keyof T]: DataType<T[K]> };
  return {
    text: parts.map((part) => part.text).join(' . '),
    type: concatType<T>(...types),
    needs: parts.flatMap((part) => part.needs),
    load(offset) {
      let at = offset;
      return parts.flatMap((part) => {
        const expressions = part.load(at);
        at += padded(part.type.size);
        return expressions;
      });
    },
  };
}

/** The packet is IPv4, or IPv6. Tables of the families ip and ip6 need no test: they see no other packets. */
export const needsIpv4: Dependency = nfproto('ipv4', 2);
export const needsIpv6: Dependency = nfproto('ipv6', 10);

/** The packet is of this transport protocol. */
export function needsL4(name: string, number: number): Dependency {
  return {
    name: `l4proto ${name}`,
    expressions: [loadMeta('l4proto', registerAt(0)), compare(registerAt(0), 'eq', Uint8Array.of(number))],
  };
}

function nfproto(name: string, number: number): Dependency {
  return {
    name: `nfproto ${name}`,
    families: ['inet'],
    expressions: [loadMeta('nfproto', registerAt(0)), compare(registerAt(0), 'eq', Uint8Array.of(number))],
  };
}
