/** limit: matches up to a number of packets per unit of time. NFTA_LIMIT_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32, be64 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const limit = {
  rate: [1, be64], // NFTA_LIMIT_RATE
  unit: [2, be64], // NFTA_LIMIT_UNIT: seconds
  burst: [3, be32], // NFTA_LIMIT_BURST
  type: [4, be32], // NFTA_LIMIT_TYPE
  flags: [5, be32], // NFTA_LIMIT_FLAGS
} as const satisfies AttrTable;

const NFT_LIMIT_PKTS = 0;

export const LIMIT_UNITS = { second: 1n, minute: 60n, hour: 3600n } as const;

export function limitPackets(rate: number, unit: keyof typeof LIMIT_UNITS, burst: number): Expression {
  return expression('limit', limit, {
    rate: BigInt(rate),
    unit: LIMIT_UNITS[unit],
    burst,
    type: NFT_LIMIT_PKTS,
    flags: 0,
  });
}
