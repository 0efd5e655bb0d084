/**
 * What a kernel may lack. A test that needs something of this list says so in its title, and is skipped where the
 * kernel lacks it. test/allowed-skips.txt names those that may be: an unexpected skip fails the run. `npm run test:all`
 * makes a matrix of the titles, and fails where a test ran on no kernel.
 */
import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';

interface Feature {
  /** The configuration that it comes with. */
  readonly config: string;
  /** Shell commands that succeed where it is there, in a namespace of the test's own. */
  readonly probe: string;
}

const PAIR = 'ip link add probe0 type veth peer name probe1';

export const FEATURES = {
  vlan: { config: 'CONFIG_VLAN_8021Q', probe: `${PAIR} && ip link add link probe0 name probe2 type vlan id 5` },
  'bridge vlan_filtering': {
    config: 'CONFIG_BRIDGE_VLAN_FILTERING',
    probe: 'ip link add probe0 type bridge vlan_filtering 1',
  },
  dummy: { config: 'CONFIG_DUMMY', probe: 'ip link add probe0 type dummy' },
  ipvlan: { config: 'CONFIG_IPVLAN', probe: `${PAIR} && ip link add link probe0 name probe2 type ipvlan mode l2` },
  macvlan: { config: 'CONFIG_MACVLAN', probe: `${PAIR} && ip link add link probe0 name probe2 type macvlan` },
  /** A link that was made is told of. No command asks for it, so the version decides. */
  'link echo': {
    config: 'Linux 6.2',
    probe: '[[ $(printf "%s\\n" 6.2 "$(uname -r)" | sort -V | head -n 1) == 6.2 ]]',
  },
  vrf: { config: 'CONFIG_NET_VRF', probe: 'ip link add probe0 type vrf table 10' },
} as const satisfies Readonly<Record<string, Feature>>;

export type FeatureName = keyof typeof FEATURES;

/** `test.serial`, or where this kernel lacks one of the features one that skips. */
export function needs(
  ...names: readonly FeatureName[]
): (title: string, run: (t: ExecutionContext) => void | Promise<void>) => void {
  const register = names.every(isThere) ? test.serial : test.serial.skip;
  const list = names.map((name) => `${name}: ${FEATURES[name].config}`).join(', ');
  return (title, run) => register(`${title} [needs ${list}]`, run);
}

/** Whether this kernel has a feature: it is tried in a network namespace that ends with the attempt. */
export function isThere(name: FeatureName): boolean {
  try {
    execFileSync('unshare', ['--net', 'bash', '-c', FEATURES[name].probe], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
