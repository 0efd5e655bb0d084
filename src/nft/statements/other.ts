/** Statements that match no field: counting, logging, refusing, limiting. nft(8), "STATEMENTS". */
import { count } from '../expressions/counter.ts';
import { type LIMIT_UNITS, limitPackets } from '../expressions/limit.ts';
import { type LogLevel, logAs } from '../expressions/log.ts';
import { doNotTrack } from '../expressions/notrack.ts';
import { type ICMPX, rejectIcmpx, rejectReset } from '../expressions/reject.ts';
import { needsL4 } from '../field.ts';
import type { Statement } from '../statement.ts';
import { quoted } from '../text.ts';

export function counter(): Statement {
  return { text: 'counter', needs: [], expressions: [count()] };
}

export function log(prefix: string, level: LogLevel = 'warn'): Statement {
  return { text: `log prefix ${quoted(prefix)} level ${level}`, needs: [], expressions: [logAs(prefix, level)] };
}

/** Answers with an ICMP or ICMPv6 error. */
export function reject(code: keyof typeof ICMPX = 'port-unreachable'): Statement {
  return { text: `reject with icmpx ${code}`, needs: [], expressions: [rejectIcmpx(code)] };
}

/** Answers TCP with a reset. */
export function reset(): Statement {
  return { text: 'reject with tcp reset', needs: [needsL4('tcp', 6)], expressions: [rejectReset()] };
}

export function notrack(): Statement {
  return { text: 'notrack', needs: [], expressions: [doNotTrack()] };
}

/** `limit rate 10/second burst 5 packets`. */
export function limit(rate: number, unit: keyof typeof LIMIT_UNITS, burst = 5): Statement {
  return {
    text: `limit rate ${rate}/${unit} burst ${burst} packets`,
    needs: [],
    expressions: [limitPackets(rate, unit, burst)],
  };
}
