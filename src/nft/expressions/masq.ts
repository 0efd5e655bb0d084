/** masq: sets the source to the address of the outgoing interface. NFTA_MASQ_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';
import { type NatFlag, natFlags } from './nat-flags.ts';

export const masq = {
  flags: [1, be32], // NFTA_MASQ_FLAGS
  protoMin: [2, be32], // NFTA_MASQ_REG_PROTO_MIN
  protoMax: [3, be32], // NFTA_MASQ_REG_PROTO_MAX
} as const satisfies AttrTable;

export function masqueradeAs(flags: readonly NatFlag[] = []): Expression {
  return expression('masq', masq, flags.length === 0 ? {} : { flags: natFlags(flags, false) });
}
