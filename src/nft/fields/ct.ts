/** Fields of the packet's connection. nft(8), "CONNTRACK EXPRESSIONS". */
import { ctDir, ctState, ctStatus, type DataType, inetService, ipv4Addr, ipv6Addr, mark } from '../datatype.ts';
import { type CT, type CtDirection, loadCt } from '../expressions/ct.ts';
import { registerAt } from '../expressions/expression.ts';
import type { Field } from '../field.ts';

export const ct = {
  state: field('state', ctState),
  status: field('status', ctStatus),
  direction: field('direction', ctDir),
  mark: field('mark', mark),
  /** The destination of the connection before translation. */
  original: {
    protoDst: field('proto-dst', inetService, 'original'),
    ipDaddr: field('ip daddr', ipv4Addr, 'original'),
    ip6Daddr: field('ip6 daddr', ipv6Addr, 'original'),
  },
} as const;

function field<T>(key: keyof typeof CT, type: DataType<T>, direction?: CtDirection): Field<T> {
  return {
    text: direction === undefined ? `ct ${key}` : `ct ${direction} ${key}`,
    type,
    needs: [],
    load: (offset) => [loadCt(key, registerAt(offset), direction)],
  };
}
