/** Fields of the network header. RFC 791, RFC 8200. */
import type { Family, Ip } from '../../net/ip.ts';
import { type DataType, inetProto, ipv4Addr, ipv6Addr } from '../datatype.ts';
import { registerAt } from '../expressions/expression.ts';
import { loadPayload } from '../expressions/payload.ts';
import { type Field, needsIpv4, needsIpv6 } from '../field.ts';
import type { Dependency } from '../statement.ts';

export const ip = {
  protocol: field('ip protocol', inetProto, 9, needsIpv4),
  saddr: field('ip saddr', ipv4Addr, 12, needsIpv4),
  daddr: field('ip daddr', ipv4Addr, 16, needsIpv4),
} as const;

export const ip6 = {
  saddr: field('ip6 saddr', ipv6Addr, 8, needsIpv6),
  daddr: field('ip6 daddr', ipv6Addr, 24, needsIpv6),
} as const;

/** The source address of a family. */
export function saddrOf(family: Family): AddressField {
  return family === 4 ? ip.saddr : ip6.saddr;
}

/** The destination address of a family. */
export function daddrOf(family: Family): AddressField {
  return family === 4 ? ip.daddr : ip6.daddr;
}

/** A field in the packet's bytes: a part of it can be loaded alone, as nft does for prefixes of whole bytes. */
export interface PayloadField<T> extends Field<T> {
  loadFirst(bytes: number): ReturnType<typeof loadPayload>;
}

export type AddressField = PayloadField<Ip>;

function field<T>(text: string, type: DataType<T>, at: number, need: Dependency): PayloadField<T> {
  return {
    text,
    type,
    needs: [need],
    load: (offset) => [loadPayload('network', at, type.size, registerAt(offset))],
    loadFirst: (bytes) => loadPayload('network', at, bytes, registerAt(0)),
  };
}
