/** Values for fast-check, by the name of their codec. */
import fc from 'fast-check';
import { Ip } from '../../src/net/ip.ts';
import { macOf } from '../../src/net/mac.ts';
import type { AttrTable } from '../../src/netlink/attribute.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ip4 = bytes(4).map((data) => Ip.of(data));
const ip6 = bytes(16).map((data) => Ip.of(data));

/** No text codec has a NUL or half a surrogate pair. */
const text = fc.string({ unit: 'binary', maxLength: 20 }).map((value) => value.replaceAll('\0', '').toWellFormed());

const BY_CODEC: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  u8: fc.nat(0xff),
  u16: fc.nat(0xffff),
  u32: fc.nat(0xffffffff),
  s32: fc.integer(),
  u64: fc.bigInt(0n, 2n ** 64n - 1n),
  be16: fc.nat(0xffff),
  be32: fc.nat(0xffffffff),
  be64: fc.bigInt(0n, 2n ** 64n - 1n),
  flag8: fc.boolean(),
  flag: fc.constant(true),
  str: text,
  bytes: fc.uint8Array({ maxLength: 20 }),
  mac: bytes(6).map(macOf),
  ip: fc.oneof(ip4, ip6),
  ip4,
  ip6,
};

/**
 * Any values for a table, with any of them missing.
 * @param own arbitraries for attributes whose codec's name does not say enough
 */
export function attrsOf<T extends AttrTable>(
  table: T,
  own: Readonly<Record<string, fc.Arbitrary<unknown>>> = {},
): fc.Arbitrary<Record<string, unknown>> {
  const model: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [name, [, codec]] of Object.entries(table)) {
    const arbitrary = own[name] ?? BY_CODEC[codec.name];
    if (arbitrary === undefined) throw new Error(`no arbitrary for the codec "${codec.name}" of "${name}"`);
    model[name] = arbitrary;
  }
  return fc.record(model, { requiredKeys: [] }).map((attrs) => ({ ...attrs }));
}
