/** counter: counts packets and bytes. NFTA_COUNTER_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be64 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const counter = {
  bytes: [1, be64], // NFTA_COUNTER_BYTES
  packets: [2, be64], // NFTA_COUNTER_PACKETS
} as const satisfies AttrTable;

export function count(): Expression {
  return expression('counter', counter, { bytes: 0n, packets: 0n });
}
