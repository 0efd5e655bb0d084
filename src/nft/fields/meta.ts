/** Fields that the kernel keeps beside the packet. nft(8), "META EXPRESSIONS". */
import { type DataType, ifaceIndex, ifname, inetProto, mark, nfProto, pktType } from '../datatype.ts';
import { registerAt } from '../expressions/expression.ts';
import { loadMeta, type META } from '../expressions/meta.ts';
import type { Field } from '../field.ts';

export const meta = {
  mark: field('meta mark', 'mark', mark),
  iif: field('meta iif', 'iif', ifaceIndex),
  oif: field('meta oif', 'oif', ifaceIndex),
  iifname: field('iifname', 'iifname', ifname),
  oifname: field('oifname', 'oifname', ifname),
  nfproto: field('meta nfproto', 'nfproto', nfProto, (value) => `nfproto ${value}`),
  l4proto: field('meta l4proto', 'l4proto', inetProto, (value) => `l4proto ${value}`),
  pkttype: field('meta pkttype', 'pkttype', pktType),
} as const;

function field<T>(text: string, key: keyof typeof META, type: DataType<T>, provides?: (value: T) => string): Field<T> {
  return {
    text,
    type,
    needs: [],
    load: (offset) => [loadMeta(key, registerAt(offset))],
    ...(provides !== undefined && { provides }),
  };
}
