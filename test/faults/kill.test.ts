/**
 * SIGKILL before each system call that a plugin makes, with the executable that runtimes run. DEL removes what a killed
 * call leaves; if the runtime has forgotten the container, GC does. strace delivers the signal on entry to the N-th
 * call of each name (the engine makes some of them too, before our own code does).
 *
 * A network's bridge outlives its containers. So here it exists from the start, with another container that must not
 * notice anything.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import test from 'ava';
import { becomeHost, mounts } from '../support/host.ts';
import { bridgeConf, type Json, Lab } from '../support/lab.ts';
import { makeMaster, makeWire } from './cable.ts';
import { CALLS, isKilled } from './killed.ts';

becomeHost();

const bridge = bridgeConf({
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] },
});
const ptp: Json = { ...bridge, name: 'routed', type: 'ptp' };

const macvlan: Json = { ...bridge, name: 'lan', type: 'macvlan', master: 'm0' };
const hostDevice: Json = { ...bridge, name: 'lan', type: 'host-device', device: 'm1' };
/** The other end of the wire, for the other container. */
const otherEnd: Json = { ...hostDevice, device: 'm0' };
const tap: Json = { ...bridge, name: 'lan', type: 'tap' };
const firewall = (address: string): Json => ({
  cniVersion: '1.1.0',
  name: 'net',
  type: 'firewall',
  ingressPolicy: 'same-bridge',
  prevResult: { cniVersion: '1.1.0', interfaces: [{ name: 'lo' }], ips: [{ address }] },
});

const sharing: Json = { cniVersion: '1.1.0', name: 'shared', type: 'container', container: 'neighbour' };

const policy = (address: string): Json => ({
  ...firewall(address),
  type: 'policy',
  policy: { ingress: { allow: ['10.1.0.0/24'] }, egress: { deny: ['10.9.0.0/16'] } },
});

const neighbour = { containerID: 'neighbour', ifname: 'eth0' };

interface Case {
  readonly title: string;
  readonly conf: Json;
  readonly command: 'ADD' | 'DEL';
  /** What the runtime calls after the kill. */
  readonly cleanup: 'DEL' | 'GC';
  /** The configuration of the other container, if it differs. `none`: there is no other container. */
  readonly neighbour?: Json | 'none';
  /** The least number of calls that it makes. */
  readonly least?: number;
}

const cases: readonly Case[] = [
  { title: 'an ADD of bridge', conf: bridge, command: 'ADD', cleanup: 'DEL' },
  { title: 'an ADD of bridge', conf: bridge, command: 'ADD', cleanup: 'GC' },
  { title: 'an ADD of ptp', conf: ptp, command: 'ADD', cleanup: 'DEL' },
  { title: 'an ADD of macvlan', conf: macvlan, command: 'ADD', cleanup: 'DEL' },
  { title: 'an ADD of host-device', conf: hostDevice, command: 'ADD', cleanup: 'DEL', neighbour: otherEnd },
  { title: 'an ADD of host-device', conf: hostDevice, command: 'ADD', cleanup: 'GC', neighbour: otherEnd },
  { title: 'a DEL of host-device', conf: hostDevice, command: 'DEL', cleanup: 'DEL', neighbour: otherEnd, least: 12 },
  { title: 'an ADD of tap', conf: tap, command: 'ADD', cleanup: 'DEL' },
  { title: 'a DEL of tap', conf: tap, command: 'DEL', cleanup: 'DEL', least: 10 },
  { title: 'an ADD of firewall', conf: firewall('10.1.0.2/24'), command: 'ADD', cleanup: 'DEL', neighbour: 'none' },
  {
    title: 'an ADD of firewall beside another',
    conf: firewall('10.1.0.2/24'),
    command: 'ADD',
    cleanup: 'GC',
    neighbour: firewall('10.1.0.3/24'),
  },
  { title: 'a DEL of firewall', conf: firewall('10.1.0.2/24'), command: 'DEL', cleanup: 'DEL', neighbour: 'none' },
  { title: 'an ADD of policy', conf: policy('10.1.0.2/24'), command: 'ADD', cleanup: 'DEL', neighbour: 'none' },
  {
    title: 'an ADD of policy beside another',
    conf: policy('10.1.0.2/24'),
    command: 'ADD',
    cleanup: 'GC',
    neighbour: policy('10.1.0.3/24'),
  },
  { title: 'a DEL of policy', conf: policy('10.1.0.2/24'), command: 'DEL', cleanup: 'DEL', neighbour: 'none' },
  { title: 'a DEL of bridge', conf: bridge, command: 'DEL', cleanup: 'DEL' },
  { title: 'an ADD of container', conf: sharing, command: 'ADD', cleanup: 'DEL', neighbour: bridge, least: 15 },
  { title: 'an ADD of container', conf: sharing, command: 'ADD', cleanup: 'GC', neighbour: bridge, least: 15 },
  { title: 'a DEL of container', conf: sharing, command: 'DEL', cleanup: 'DEL', neighbour: bridge, least: 2 },
];

for (const { title, conf, command, cleanup, neighbour: other = conf, least: given } of cases) {
  test.serial(`${title} killed before whichever system call: ${cleanup} leaves nothing`, (t) => {
    const lab = new Lab(t);
    if (conf === hostDevice) makeWire();
    if (conf === macvlan) makeMaster();
    if (conf['type'] === 'firewall') execFileSync('iptables', ['-P', 'FORWARD', 'DROP']);
    if (other !== 'none') lab.add(other, { sandbox: lab.sandbox('neighbour') });
    mkdirSync(`${lab.root}/var`, { recursive: true });
    const target = { sandbox: lab.sandbox('victim') };
    const before = stateOf(lab);
    const counts = CALLS.map((name) => {
      for (let n = 1; ; n++) {
        if (command === 'DEL') lab.add(conf, target);
        const killed = isKilled(lab, command, conf, target, name, n);
        const what = `${command} killed before ${name}, the ${n}th`;
        if (cleanup === 'DEL') lab.del(conf, target);
        else lab.gc(conf, [neighbour]);
        t.is(stateOf(lab), before, what);
        t.is(target.sandbox.ip('link').length, 1, what);
        if (!killed) return n - 1;
      }
    });
    const points = counts.reduce((sum, count) => sum + count);
    t.log(
      `${points} calls: ${CALLS.map((name, i) => `${name} ${counts[i]}`)
        .filter((text) => !text.endsWith(' 0'))
        .join(', ')}`,
    );
    const least = given ?? (conf['prevResult'] !== undefined ? 10 : command === 'ADD' ? 30 : 25);
    t.true(points > least, `${points} calls`);
  });
}

/** snapshot(), the mounts, and all file names of the network's directory: nothing may stay beside the leases. */
function stateOf(lab: Lab): string {
  const files = readdirSync(`${lab.root}/var`, { recursive: true, encoding: 'utf8' }).sort();
  return [lab.snapshot(), mounts(), ...files].join('\n');
}
