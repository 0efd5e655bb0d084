/** reject: drops a packet and sends an error to its sender. NFTA_REJECT_*, NFT_REJECT_*. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { be32, u8 } from '../../netlink/codec.ts';
import { type Expression, expression } from './expression.ts';

export const reject = {
  type: [1, be32], // NFTA_REJECT_TYPE
  code: [2, u8], // NFTA_REJECT_ICMP_CODE
} as const satisfies AttrTable;

const TYPES = { reset: 1, icmpx: 2 } as const;

/** NFT_REJECT_ICMPX_*: codes that fit both ICMP and ICMPv6. */
export const ICMPX = { 'no-route': 0, 'port-unreachable': 1, 'host-unreachable': 2, 'admin-prohibited': 3 } as const;

export function rejectIcmpx(code: keyof typeof ICMPX): Expression {
  return expression('reject', reject, { type: TYPES.icmpx, code: ICMPX[code] });
}

/** With a TCP reset: the rule must match TCP. */
export function rejectReset(): Expression {
  return expression('reject', reject, { type: TYPES.reset, code: 0 });
}
