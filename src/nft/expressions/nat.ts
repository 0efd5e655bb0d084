/** nat: sets a new source or destination, taken from registers. NFTA_NAT_*, NFT_NAT_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';
import { type NatFlag, natFlags } from './nat-flags.ts';

export const nat = {
  type: [1, be32], // NFTA_NAT_TYPE
  family: [2, be32], // NFTA_NAT_FAMILY
  addrMin: [3, be32], // NFTA_NAT_REG_ADDR_MIN
  addrMax: [4, be32], // NFTA_NAT_REG_ADDR_MAX
  protoMin: [5, be32], // NFTA_NAT_REG_PROTO_MIN
  protoMax: [6, be32], // NFTA_NAT_REG_PROTO_MAX
  flags: [7, be32], // NFTA_NAT_FLAGS
} as const satisfies AttrTable;

const TYPES = { snat: 0, dnat: 1 } as const;
const NFPROTO = { 4: 2, 6: 10 } as const;

/** The registers that hold the new addresses and ports. */
export interface NatRegisters {
  readonly addrMin?: number;
  readonly addrMax?: number;
  readonly protoMin?: number;
  readonly protoMax?: number;
}

/** @param hasPort whether the rule itself gives a port; nft does not set the flag for a port from a map */
export function translate(
  type: keyof typeof TYPES,
  family: 4 | 6,
  registers: NatRegisters,
  flags: readonly NatFlag[] = [],
  hasPort = false,
): Expression {
  const bits = natFlags(flags, hasPort);
  return expression('nat', nat, {
    type: TYPES[type],
    family: NFPROTO[family],
    ...registers,
    ...(bits !== 0 && { flags: bits }),
  });
}
