/** payload: bytes of the packet. NFTA_PAYLOAD_*, NFT_PAYLOAD_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const payload = {
  dreg: [1, be32], // NFTA_PAYLOAD_DREG
  base: [2, be32], // NFTA_PAYLOAD_BASE
  offset: [3, be32], // NFTA_PAYLOAD_OFFSET
  length: [4, be32], // NFTA_PAYLOAD_LEN
} as const satisfies AttrTable;

/** The header that an offset counts from. */
export const BASE = { link: 0, network: 1, transport: 2 } as const;

export function loadPayload(base: keyof typeof BASE, offset: number, length: number, dreg: number): Expression {
  return expression('payload', payload, { dreg, base: BASE[base], offset, length });
}
