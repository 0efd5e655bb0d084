/**
 * The agent and the standalone executable give the same results and errors, and leave the same on the host, byte for
 * byte. MACs are random, so they are numbered instead.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { becomeHost, ip, snapshot } from '../support/host.ts';
import { BIN, bridgeConf, type ExecOptions, type Json, Lab, type Target } from '../support/lab.ts';
import { AgentProcess, agentOnly, standaloneOnly } from './agent-process.ts';

becomeHost();

const IPAM = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd01::/64' }]] };
const FIRST = { interfaces: [], ips: [{ address: '10.1.0.2/24' }] };

const NODES = [
  { name: 'a', address: '127.0.0.1', subnet: '10.96.1.0/24' },
  { name: 'b', address: '192.0.2.2', subnet: '10.96.2.0/24' },
];
const PORT = { hostPort: 80, containerPort: 80, protocol: 'tcp' };
const RATES = { ingressRate: 8_000_000, ingressBurst: 8_000_000, egressRate: 8_000_000, egressBurst: 8_000_000 };

/** A link of the host that containers can get, or can hang links on. */
const DEVICE = 'dev0';
const plugin = (type: string, more: Json = {}): Json => ({ cniVersion: '1.1.0', name: 'net', type, ...more });
const ALLOWED = { default: 'deny', allow: [{ from: ['10.0.0.0/8'], ports: [{ protocol: 'tcp', port: 80 }] }] };

/** The cases. A chained plugin gets the result of the one in `before`. Only those titled `refused` fail. */
const CASES: readonly [title: string, conf: Json, before?: Json][] = [
  ['bridge', bridgeConf()],
  ['bridge with ipMasq, both families and guarded ports', bridgeConf({ ipMasq: true, macspoofchk: true, ipam: IPAM })],
  ['bridge of layer 2', bridgeConf({ isDefaultGateway: false, ipam: {} })],
  ['bridge with static', bridgeConf({ ipam: { type: 'static', addresses: [{ address: '10.1.0.7/24' }] } })],
  ['bridge in an old version', bridgeConf({ cniVersion: '0.2.0' })],
  ['refused: a wrong MTU', bridgeConf({ mtu: 'much' })],
  ['refused: a bridge without its IPAM', bridgeConf({ ipam: { type: 'absent' } })],
  ['ptp', { cniVersion: '1.1.0', name: 'net', type: 'ptp', ipMasq: true, ipam: IPAM }],
  ['host-local', { cniVersion: '1.1.0', name: 'net', type: 'host-local', ipam: IPAM }],
  [
    'static',
    {
      cniVersion: '1.1.0',
      name: 'net',
      type: 'static',
      ipam: { type: 'static', addresses: [{ address: '10.1.0.7/24' }] },
    },
  ],
  ['loopback', { cniVersion: '1.1.0', name: 'net', type: 'loopback' }],
  ['loopback, chained', { cniVersion: '1.1.0', name: 'net', type: 'loopback', prevResult: FIRST }],
  ['refused: a wrong version', bridgeConf({ cniVersion: '9.0.0' })],
  ['macvlan', plugin('macvlan', { master: DEVICE, mode: 'bridge', ipam: IPAM })],
  ['refused: macvlan without a master', plugin('macvlan', { master: 'absent', ipam: IPAM })],
  ['host-device', plugin('host-device', { device: DEVICE, ipam: IPAM })],
  ['tap', plugin('tap', { multiQueue: true, ipam: IPAM })],
  ['none', plugin('none')],
  ['refused: host in a namespace of its own', plugin('host')],
  [
    'an overlay of two nodes',
    plugin('overlay', { vni: 42, subnet: '10.96.0.0/16', node: 'a', store: { type: 'static', nodes: NODES } }),
  ],
  ['portmap', plugin('portmap', { runtimeConfig: { portMappings: [PORT, { ...PORT, hostPort: 81 }] } }), bridgeConf()],
  ['firewall', plugin('firewall', { ingressPolicy: 'same-bridge' }), bridgeConf()],
  ['policy', plugin('policy', { policy: { ingress: ALLOWED } }), plugin('ptp', { ipam: IPAM })],
  ['bandwidth', plugin('bandwidth', RATES), bridgeConf()],
  ['tuning', plugin('tuning', { mtu: 1400, sysctl: { 'net.ipv4.conf.IFNAME.log_martians': '1' } }), bridgeConf()],
  ['refused: tuning of a setting that is none', plugin('tuning', { sysctl: { 'net.absent': '1' } }), bridgeConf()],
  ['sbr', plugin('sbr'), bridgeConf()],
  ['refused: vrf without a name', plugin('vrf'), bridgeConf()],
];

for (const [title, conf, before] of CASES) {
  test.serial(`${title}: the same both ways`, async (t) => {
    const lab = new Lab(t);
    const target = { sandbox: lab.sandbox('c1') };
    const alone = story(lab, conf, before, target, { bin: standaloneOnly(lab), path: BIN });
    reset(lab);
    await AgentProcess.start(t, lab);
    const resident = story(lab, conf, before, target, { bin: agentOnly(lab), path: BIN });
    t.is(alone.isAdded, !title.startsWith('refused'));
    t.is(resident.text, alone.text);
  });
}

interface Story {
  /** Everything visible of an attachment's life. */
  readonly text: string;
  /** Whether its first ADD succeeded. */
  readonly isAdded: boolean;
}

function story(
  lab: Lab,
  given: Json,
  before: Json | undefined,
  target: Required<Pick<Target, 'sandbox'>>,
  options: ExecOptions,
): Story {
  ip('link', 'add', DEVICE, 'type', 'veth', 'peer', 'name', 'far0');
  for (const name of [DEVICE, 'far0']) ip('link', 'set', name, 'up');
  const told: string[] = [];
  const call = (command: string, of: Json, who: Target, more: ExecOptions = {}) => {
    const end = lab.exec(command, of, who, { ...options, ...more });
    told.push(`${command}: ${end.status} ${end.stdout}${end.stderr}`);
    return end;
  };
  const look = () => {
    told.push(snapshot(stateOf(lab)));
    told.push(target.sandbox.run('ip', '-o', 'addr'), target.sandbox.run('ip', 'route', 'show', 'table', 'all'));
  };
  const conf = before === undefined ? given : { ...given, prevResult: call('ADD', before, target).output };
  const { output, status } = call('ADD', conf, target);
  look();
  call('ADD', conf, target);
  call('CHECK', { ...conf, prevResult: output }, target);
  call('STATUS', conf, {});
  call('ADD', conf, target, { stdin: '{' });
  call('ADD', conf, { ...target, ifname: 'all' });
  call('ADD', conf, { ...target, netns: '/nowhere' });
  call('ADD', conf, { ...target, netns: '/proc/1/ns/../ns/mnt' });
  call('DEL', { ...conf, prevResult: output }, target);
  look();
  call('DEL', conf, target);
  call('GC', { ...conf, 'cni.dev/valid-attachments': [] }, {});
  call('GC', conf, {});
  if (before !== undefined) call('DEL', before, target);
  look();
  return { text: numbered(told.join('\n')), isAdded: status === 0 };
}

/**
 * Replaces random values by numbers in the order in which they come: MACs, and the link-local addresses, indexes and
 * times that depend on them.
 */
function numbered(text: string): string {
  const seen = new Map<string, string>();
  return text
    .replaceAll(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, (mac) => {
      const known = seen.get(mac) ?? `MAC-${seen.size}`;
      seen.set(mac, known);
      return known;
    })
    .replaceAll(/\bfe80::[0-9a-f:]+/g, 'fe80::LINK-LOCAL')
    .replaceAll(
      /^\d+: |@if\d+|\bif\d+\b|bridge_id \S+|designated_\w+ \S+|link-netnsid \d+|(gc|hello|tcn|topology_change)_timer +\S+/gm,
      '',
    )
    .replaceAll(/\/proc\/self\/fd\/\d+/g, '/proc/self/fd/N')
    .replaceAll(/[0-9a-f.]+MAC-\d+/g, 'ID')
    .replaceAll(/^.*\b(fe80::|ff00::\/8).*\n/gm, '')
    .replaceAll(/ linkdown| tentative| dadfailed| nodad/g, '');
}

function reset(lab: Lab): void {
  for (const { ifname } of ip<{ ifname: string }>('link')) if (isThere(ifname)) ip('link', 'delete', ifname);
  rmSync(stateOf(lab), { recursive: true });
}

/** Whether a link still exists: the peer of a veth goes with it. */
function isThere(ifname: string): boolean {
  return ifname !== 'lo' && ip<{ ifname: string }>('link').some((each) => each.ifname === ifname);
}

/** The directory in which the plugins keep their state. */
function stateOf(lab: Lab): string {
  const path = join(lab.root, 'var');
  mkdirSync(path, { recursive: true });
  return path;
}
