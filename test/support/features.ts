/**
 * Features that a kernel may lack. A test that needs one of them says so in its title, and is skipped if the kernel
 * lacks it. test/allowed-skips.txt names the skips that are allowed: any other fails the run. `npm run test:all` makes
 * a matrix of the titles, and fails if a test ran on no kernel.
 */
import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';

interface Feature {
  /** The kernel's configuration option for it. */
  readonly config: string;
  /** Shell commands that succeed if the kernel has it. They run in a network namespace of their own. */
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
  /** NLM_F_ECHO of a new link answers with that link. No command asks for it, so the version decides. */
  'link echo': {
    config: 'Linux 6.2',
    probe: '[[ $(printf "%s\\n" 6.2 "$(uname -r)" | sort -V | head -n 1) == 6.2 ]]',
  },
  vrf: { config: 'CONFIG_NET_VRF', probe: 'ip link add probe0 type vrf table 10' },
} as const satisfies Readonly<Record<string, Feature>>;

export type FeatureName = keyof typeof FEATURES;

/** `test.serial`, or a skipped test if this kernel lacks one of the features. */
export function needs(
  ...names: readonly FeatureName[]
): (title: string, run: (t: ExecutionContext) => void | Promise<void>) => void {
  const register = names.every(isThere) ? test.serial : test.serial.skip;
  const list = names.map((name) => `${name}: ${FEATURES[name].config}`).join(', ');
  return (title, run) => register(`${title} [needs ${list}]`, run);
}

/** Whether this kernel has a feature: tries it in a network namespace of its own. */
export function isThere(name: FeatureName): boolean {
  try {
    execFileSync('unshare', ['--net', 'bash', '-c', FEATURES[name].probe], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
