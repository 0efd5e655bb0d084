/** Fields of the Ethernet header. IEEE 802.3. */
import type { Mac } from '../../net/mac.ts';
import { etherAddr } from '../datatype.ts';
import { compare } from '../expressions/cmp.ts';
import { registerAt } from '../expressions/expression.ts';
import { loadMeta } from '../expressions/meta.ts';
import { loadPayload } from '../expressions/payload.ts';
import type { Field } from '../field.ts';
import type { Dependency } from '../statement.ts';

/** ARPHRD_ETHER. A bridge table does not need this test. */
const needsEther: Dependency = {
  name: 'iiftype ether',
  families: ['inet', 'ip', 'ip6', 'arp', 'netdev'],
  expressions: [loadMeta('iiftype', registerAt(0)), compare(registerAt(0), 'eq', Uint8Array.of(1, 0))],
};

export const ether = { saddr: field('ether saddr', 6), daddr: field('ether daddr', 0) } as const;

function field(text: string, at: number): Field<Mac> {
  return {
    text,
    type: etherAddr,
    needs: [needsEther],
    load: (offset) => [loadPayload('link', at, 6, registerAt(offset))],
  };
}
