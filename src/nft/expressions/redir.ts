/** redir: redirects to this host, optionally to another port. NFTA_REDIR_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';
import { PROTO_SPECIFIED } from './nat-flags.ts';

export const redir = {
  protoMin: [1, be32], // NFTA_REDIR_REG_PROTO_MIN
  protoMax: [2, be32], // NFTA_REDIR_REG_PROTO_MAX
  flags: [3, be32], // NFTA_REDIR_FLAGS
} as const satisfies AttrTable;

export function redirectTo(protoMin?: number): Expression {
  return expression('redir', redir, protoMin === undefined ? {} : { protoMin, flags: PROTO_SPECIFIED });
}
