/** When a store counts as having lost its data, and which nodes are then still known for a while. */
import test from 'ava';
import { Forgotten } from '../../../src/overlay/etcd/forgotten.ts';
import { recordOf } from '../../../src/overlay/record.ts';

const KNOWN = [recordOf({ name: 'a', address: '192.0.2.1', subnet: '10.96.1.0/24' })].flatMap((each) => each ?? []);

function after(...seen: (string | { readonly revision: string; readonly cluster: string })[]): string {
  const forgotten = new Forgotten();
  for (const each of seen) {
    if (typeof each === 'string') forgotten.saw(BigInt(each));
    else forgotten.compare(each, () => KNOWN);
  }
  return forgotten
    .with([])
    .map(({ name }) => name)
    .join();
}

test('a store that has gone back behind what was read of it, or heard in between, has forgotten', (t) => {
  const at = (revision: string) => ({ revision, cluster: 'one' });
  t.is(after(at('10')), '');
  t.is(after(at('10'), at('10')), '');
  t.is(after(at('10'), '20', at('20')), '');
  t.is(after(at('10'), at('9')), 'a');
  t.is(after(at('10'), '20', at('15')), 'a', 'it was at 20');
  t.is(after(at('10'), { revision: '30', cluster: 'other' }), 'a');
  t.is(after(at('10'), '20', { revision: '5', cluster: 'other' }, at('6')), 'a');
});
