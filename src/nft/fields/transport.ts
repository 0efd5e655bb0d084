/** Ports: they have the same place in TCP, UDP and SCTP headers. */
import { inetService } from '../datatype.ts';
import { registerAt } from '../expressions/expression.ts';
import { loadPayload } from '../expressions/payload.ts';
import { type Field, needsL4 } from '../field.ts';
import type { Dependency } from '../statement.ts';

export const tcp = ports('tcp', [needsL4('tcp', 6)]);
export const udp = ports('udp', [needsL4('udp', 17)]);
export const sctp = ports('sctp', [needsL4('sctp', 132)]);
/** Ports of any of them. The rule itself must make sure that the packet has ports. */
export const th = ports('th', []);

function ports(name: string, needs: readonly Dependency[]) {
  return { sport: port(`${name} sport`, 0, needs), dport: port(`${name} dport`, 2, needs) } as const;
}

function port(text: string, at: number, needs: readonly Dependency[]): Field<number> {
  return { text, type: inetService, needs, load: (offset) => [loadPayload('transport', at, 2, registerAt(offset))] };
}
