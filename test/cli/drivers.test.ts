/**
 * Networks on a link of the host, made and used by commands: a sandbox reaches a router on the LAN behind that link.
 */
import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { Netloom } from '../support/command.ts';
import { needs } from '../support/features.ts';
import { becomeHost } from '../support/host.ts';
import { Lab } from '../support/lab.ts';

becomeHost();

/** A host with an uplink to the LAN 192.168.7.0/24, where a router has .1. */
function start(t: ExecutionContext, vlan?: number) {
  const lab = new Lab(t);
  const router = lab.sandbox('router');
  execFileSync('ip', ['link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'lan0', 'netns', router.path]);
  execFileSync('ip', ['link', 'set', 'up0', 'up']);
  router.run('ip', 'link', 'set', 'lan0', 'up');
  const lan = vlan === undefined ? 'lan0' : 'lan0.7';
  if (vlan !== undefined)
    router.run('ip', 'link', 'add', 'link', 'lan0', 'name', lan, 'type', 'vlan', 'id', String(vlan));
  router.run('ip', 'addr', 'add', '192.168.7.1/24', 'dev', lan);
  router.run('ip', 'link', 'set', lan, 'up');
  return { lab, netloom: new Netloom(lab.root) };
}

const LAN = [
  '--subnet',
  '192.168.7.0/24',
  '--gateway',
  '192.168.7.1',
  '--ip-range',
  '192.168.7.64/26',
  '-o',
  'parent=up0',
];

function reachesRouter(t: ExecutionContext, driver: string, option: string, vlan?: number): void {
  const { lab, netloom } = start(t, vlan);
  const before = lab.snapshot();
  netloom.run('network', 'create', '-d', driver, ...LAN, '-o', option, 'lan');
  const output = netloom.run(
    'run',
    '--network',
    'lan',
    '--',
    'sh',
    '-c',
    'ip -o -4 addr; ip route; ping -c 3 -i 0.2 -W 5 192.168.7.1',
  );
  t.regex(output, /eth0\s+inet 192\.168\.7\.64\/24/);
  t.regex(output, /default via 192\.168\.7\.1 dev eth0/);
  t.notRegex(output, /100% packet loss/);
  netloom.run('network', 'rm', 'lan');
  t.is(lab.snapshot(), before);
}

needs('macvlan')('macvlan: a sandbox is a station of its own on the LAN', (t) => {
  reachesRouter(t, 'macvlan', 'macvlan_mode=bridge');
});

needs('ipvlan')('ipvlan: a sandbox has an address of its own on the LAN', (t) => {
  reachesRouter(t, 'ipvlan', 'ipvlan_mode=l2');
});

needs('vlan')('vlan: a sandbox is on the VLAN', (t) => {
  reachesRouter(t, 'vlan', 'vlan=7', 7);
});

test.serial('ptp: a sandbox has a wire of its own to the host', (t) => {
  const { lab, netloom } = start(t);
  const before = lab.snapshot();
  netloom.run('network', 'create', '-d', 'ptp', '--ipv6', 'wire');
  const output = netloom.run(
    'run',
    '--network',
    'wire',
    '-p',
    '8080:80',
    '--',
    'ping',
    '-c',
    '1',
    '-W',
    '5',
    '10.90.0.1',
  );
  t.regex(output, / 0% packet loss/);
  netloom.run('network', 'rm', 'wire');
  t.is(lab.snapshot(), before);
});
