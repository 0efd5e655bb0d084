/**
 * What holds for the kinds of links that not every kernel has, while calls fail: so it runs in the guests, where a
 * round takes more than a second. So only the calls fail, and are killed at, that change what others see: what becomes
 * of the others is the same code for all links, and libc/ and kill.test.ts have every call of macvlan.
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
  /** What comes before it in the chain. */
  readonly after?: Json;
  /**
   * How many calls an ADD and a DEL send to the kernel, at the least: so that a test which tests nothing is noticed.
   */
  readonly sent: readonly [add: number, del: number];
}

function scene(t: ExecutionContext, { needs: feature, conf, after }: LinkFaultCase): Scene {
  const lab = new Lab(t);
  makeMaster();
  const sandbox = lab.sandbox('victim');
  const prevResult = after && lab.add(after, { sandbox });
  // The first VRF of a namespace brings rules that outlive it.
  if (feature === 'vrf') sandbox.run('sh', '-c', 'ip link add first type vrf table 99 && ip link del first');
  return {
    lab,
    target: { sandbox },
    conf: { ...conf, ...(prevResult && { prevResult }) },
    look: () => stateOfBoth(lab, sandbox),
  };
}

/** For a test file that has become a host. */
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
    // GC of a chained plugin forgets: what it did is in the namespace of a container that has gone.
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
