/** How long it takes to remove links. This compares times, so a single undisturbed attempt decides. */
import test from 'ava';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost } from '../support/host.ts';

becomeHost();

const LINKS = 20;
const ATTEMPTS = 10;

/** Makes links, and removes them. @returns how many milliseconds the removal takes */
function removal(remove: (nl: ReturnType<typeof openRoute>) => void): number {
  using nl = openRoute();
  nl.executeAll(
    Array.from({ length: LINKS }, (_, i) => link.add({ name: `v${i}`, group: 77, linkinfo: { kind: 'veth' } })),
  );
  const begin = performance.now();
  remove(nl);
  return performance.now() - begin;
}

/** `time ip link del group 77`: each single removal waits for RCU, some 16 ms; a group waits once. */
test('a group of links goes at once: in less than half the time of one after the other', (t) => {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const single = removal((nl) => {
      for (let i = 0; i < LINKS; i++) nl.execute(link.remove({ name: `v${i}` }));
    });
    const group = removal((nl) => {
      nl.execute(link.remove({ group: 77 }));
    });
    t.log(`${LINKS} veths one by one: ${single.toFixed(0)} ms, as a group: ${group.toFixed(0)} ms`);
    if (group < single / 2) return t.pass();
  }
  t.fail(`in none of ${ATTEMPTS} attempts`);
});
