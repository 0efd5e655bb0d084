/**
 * Every conflist of cni-conf/, unchanged and in every version that it lists, makes what the README there says and
 * leaves nothing behind.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type FeatureName, needs } from '../support/features.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab, type Output, type Target } from '../support/lab.ts';

becomeHost();

const directory = fileURLToPath(new URL('../../cni-conf', import.meta.url));

interface Conflist {
  readonly cniVersions: readonly string[];
  readonly name: string;
  readonly plugins: readonly Json[];
}

interface Expectation {
  /** The addresses of the first container. */
  readonly addresses: readonly string[];
  /** The addresses that it reaches. */
  readonly gateways: readonly string[];
  /** The kernel feature that it needs. */
  readonly needs?: FeatureName;
  /**
   * The host's LAN, which the default route and the device eth1 lead to. Stations on it have this address, the
   * gateway's.
   */
  readonly lan?: string;
  /** The host's own address on the LAN. */
  readonly host?: string;
  /** The conflist of another container, `main`, that is attached first. */
  readonly main?: string;
  /** The network namespace, if the container has none of its own. */
  readonly netns?: string;
}

const EXPECTED: Readonly<Record<string, Expectation>> = {
  '10-bridge.conflist': { addresses: ['10.86.0.2/24'], gateways: ['10.86.0.1'] },
  '20-bridge-dual-stack.conflist': {
    addresses: ['10.86.1.2/24', 'fd86:1::2/64'],
    gateways: ['10.86.1.1', 'fd86:1::1'],
  },
  '30-ptp.conflist': { addresses: ['10.86.2.2/24'], gateways: ['10.86.2.1'] },
  '40-macvlan.conflist': {
    addresses: ['10.86.3.2/24'],
    gateways: ['10.86.3.1'],
    needs: 'macvlan',
    lan: '10.86.3.1/24',
  },
  '41-ipvlan.conflist': {
    addresses: ['10.86.4.2/24'],
    gateways: ['10.86.4.1'],
    needs: 'ipvlan',
    lan: '10.86.4.1/24',
  },
  // The station is not in the VLAN; vlan.test.ts tests one that is.
  '42-vlan.conflist': { addresses: ['10.86.5.2/24'], gateways: [], needs: 'vlan', lan: '10.86.5.1/24' },
  '43-host-device.conflist': { addresses: ['10.86.6.2/24'], gateways: ['10.86.6.1'], lan: '10.86.6.1/24' },
  '44-dummy.conflist': { addresses: ['10.86.7.2/24'], gateways: [], needs: 'dummy' },
  '45-tap.conflist': { addresses: ['10.86.8.2/24'], gateways: [] },
  '49-portmap.conflist': { addresses: ['10.86.10.2/24'], gateways: ['10.86.10.1'] },
  '50-firewall.conflist': { addresses: ['10.86.11.2/24'], gateways: ['10.86.11.1'] },
  '60-policy.conflist': { addresses: ['10.86.12.2/24'], gateways: ['10.86.12.1'] },
  '70-bandwidth.conflist': { addresses: ['10.86.13.2/24'], gateways: ['10.86.13.1'] },
  '71-tuning.conflist': { addresses: ['10.86.14.2/24'], gateways: ['10.86.14.1'] },
  // With no other interface, the container only has routes from its own address.
  '72-sbr.conflist': { addresses: ['10.86.15.2/24'], gateways: [] },
  // The container reaches hosts only from within the VRF.
  '73-vrf.conflist': { addresses: ['10.86.16.2/24'], gateways: [], needs: 'vrf' },
  '80-overlay.conflist': {
    addresses: ['10.96.1.2/24'],
    gateways: ['10.96.1.1'],
    lan: '192.0.2.1/24',
    host: '192.0.2.11/24',
  },
  '90-container.conflist': { addresses: ['10.86.0.2/24'], gateways: ['10.86.0.1'], main: '10-bridge.conflist' },
  '91-host.conflist': { addresses: [], gateways: [], netns: '/proc/self/ns/net' },
  '92-none.conflist': { addresses: ['127.0.0.1/8', '::1/128'], gateways: ['127.0.0.1'] },
  '99-loopback.conflist': { addresses: ['127.0.0.1/8', '::1/128'], gateways: ['127.0.0.1'] },
};

/** Needs an agent and an etcd; overlay/etcd.test.ts tests it. */
const ELSEWHERE = ['81-overlay-etcd.conflist'];

const files = readdirSync(directory).filter((file) => file.endsWith('.conflist') && !ELSEWHERE.includes(file));

test('each conflist has an expectation here', (t) => {
  t.deepEqual(files.sort(), Object.keys(EXPECTED));
});

for (const file of files) {
  for (const cniVersion of read(file).cniVersions) {
    const { addresses = [], gateways = [], needs: feature, lan, host, main, netns } = EXPECTED[file] ?? {};
    const register = feature === undefined ? test.serial : needs(feature);
    register(`${file} in version ${cniVersion}`, (t: ExecutionContext) => {
      const lab = new Lab(t);
      if (lan !== undefined) makeLan(lab, lan);
      if (host !== undefined) execFileSync('ip', ['addr', 'add', host, 'dev', 'lan0']);
      if (main !== undefined) addAll(lab, chainOf(main, cniVersion), { sandbox: lab.sandbox('main') });
      const sandbox = lab.sandbox('c1');
      const target = { sandbox, ...(netns !== undefined && { netns }) };
      const chain = chainOf(file, cniVersion);
      const before = lab.snapshot();
      const result = addAll(lab, chain, target);
      t.deepEqual(
        (result?.ips ?? []).map(({ address }) => address),
        [...addresses],
      );
      for (const gateway of gateways) t.true(sandbox.reaches(gateway), gateway);
      for (const conf of chain) if (result !== undefined) lab.check(conf, target, result);
      for (const conf of chain.toReversed()) lab.del({ ...conf, prevResult: result }, target);
      const bridge = chain[0]?.['bridge'];
      if (typeof bridge === 'string') execFileSync('ip', ['link', 'del', bridge]); // bridges stay, as those of the reference plugin do
      t.is(lab.snapshot(), before);
    });
  }
}

/** Runs the ADDs of a chain; each gets the result of the one before. */
function addAll(lab: Lab, chain: readonly Json[], target: Target): Output | undefined {
  let result: Output | undefined;
  for (const conf of chain) result = lab.add({ ...conf, ...(result && { prevResult: result }) }, target);
  return result;
}

/** The configuration of each plugin, as a runtime derives it from a conflist. */
function chainOf(file: string, cniVersion: string): Json[] {
  const { name, plugins } = read(file);
  return plugins.map((plugin) => ({ ...plugin, cniVersion, name }));
}

function read(file: string): Conflist {
  return JSON.parse(readFileSync(join(directory, file), 'utf8')) as Conflist;
}

/**
 * Makes the host's link to its LAN, with the default route, and a second link, eth1. A station is at the other end of
 * each.
 */
function makeLan(lab: Lab, address: string): void {
  const run = (...args: string[]) => execFileSync('ip', args);
  for (const name of ['lan0', 'eth1']) {
    const station = lab.sandbox(`station-${name}`);
    run('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', station.path);
    // NB: eth1 is never up, so that a link that was moved and came back looks untouched.
    if (name === 'lan0') run('link', 'set', name, 'up');
    station.run('ip', 'addr', 'add', address, 'dev', 'eth0');
    station.run('ip', 'link', 'set', 'eth0', 'up');
  }
  run('route', 'add', 'default', 'dev', 'lan0');
}
