/** log: a line in the kernel's log, or a packet to a listener of NFLOG. NFTA_LOG_*, NFT_LOGLEVEL_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be16, be32, str } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const log = {
  group: [1, be16], // NFTA_LOG_GROUP
  prefix: [2, str], // NFTA_LOG_PREFIX
  snaplen: [3, be32], // NFTA_LOG_SNAPLEN
  threshold: [4, be16], // NFTA_LOG_QTHRESHOLD
  level: [5, be32], // NFTA_LOG_LEVEL
  flags: [6, be32], // NFTA_LOG_FLAGS
} as const satisfies AttrTable;

const LEVELS = { err: 3, warn: 4, notice: 5, info: 6, debug: 7 } as const;
export type LogLevel = keyof typeof LEVELS;

export function logAs(prefix: string, level: LogLevel): Expression {
  return expression('log', log, { prefix, level: LEVELS[level] });
}
