/**
 * Faults with the kinds of links that not every kernel has. These tests also run in the guests, where a round takes
 * more than a second. So only the calls that change what others see fail or are killed. The code after any other call
 * is the same for all links: libc/ and kill.test.ts test every call of macvlan.
 */
import type { ExecutionContext } from 'ava';
import { type FeatureName, needs } from '../../support/features.ts';
import { type Json, Lab } from '../../support/lab.ts';
import { makeMaster } from '../cable.ts';
import { eachFailure } from '../failed.ts';
import { eachKill } from '../killed.ts';
import type { Scene } from '../rounds.ts';
import { stateOfBoth } from '../state.ts';

export const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
export const net = { cniVersion: '1.1.0', name: 'net' };

export interface LinkFaultCase {
  readonly needs: FeatureName;
  readonly conf: Json;
  /** The plugin before it in the chain. */
  readonly after?: Json;
  /** The least number of calls in an ADD and a DEL that send to the kernel. It catches a test that tests nothing. */
  readonly sent: readonly [add: number, del: number];
}

function scene(t: ExecutionContext, { needs: feature, conf, after }: LinkFaultCase): Scene {
  const lab = new Lab(t);
  makeMaster();
  const sandbox = lab.sandbox('victim');
  const prevResult = after && lab.add(after, { sandbox });
  // The first VRF of a namespace adds rules that outlive it.
  if (feature === 'vrf') sandbox.run('sh', '-c', 'ip link add first type vrf table 99 && ip link del first');
  return {
    lab,
    target: { sandbox },
    conf: { ...conf, ...(prevResult && { prevResult }) },
    look: () => stateOfBoth(lab, sandbox),
  };
}

/** Registers the tests of one case. For a test file that has become a host. */
export function linkFaults(one: LinkFaultCase): void {
  const test = needs(one.needs);
  const [add, del] = one.sent;
  test(`ADD of ${one.needs}: whichever call fails, an ADD that fails leaves nothing, and DEL succeeds`, (t) => {
    const { points, failures } = eachFailure(t, scene(t, one), 'ADD', ['sendto', 'link']);
    t.true(points >= add, `${points} points`);
    t.true(failures > points / 3, `${failures} failures`);
  });

  test(`DEL of ${one.needs}: whichever call fails, another DEL finishes`, (t) => {
    const { points } = eachFailure(t, scene(t, one), 'DEL', ['sendto', 'unlink']);
    t.true(points >= del, `${points} points`);
  });

  for (const { command, cleanUp, calls } of [
    { command: 'ADD', cleanUp: 'DEL', calls: ['sendto', 'link'] },
    // GC of a chained plugin only forgets: its work was in the namespace of a container that is gone.
    ...(one.after === undefined ? ([{ command: 'ADD', cleanUp: 'GC', calls: ['sendto'] }] as const) : []),
    { command: 'DEL', cleanUp: 'DEL', calls: ['sendto', 'unlink'] },
  ] as const) {
    test(`${command} of ${one.needs} killed before whichever call: ${cleanUp} leaves nothing`, (t) => {
      const here = scene(t, one);
      const collect = () => here.lab.gc(here.conf, []);
      const kills = eachKill(t, here, command, cleanUp === 'GC' ? collect : undefined, calls);
      t.true(kills >= (command === 'ADD' ? add : del), `${kills} kills`);
    });
  }
}
