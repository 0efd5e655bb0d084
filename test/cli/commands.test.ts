/**
 * Every command of the tree runs as a process for its main purpose, in the life of one small network. Another tool sees
 * its effect.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { commandPaths } from '../support/command-tree.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';

becomeHost();

const lab = new Lab({ teardown: (end) => test.after.always(() => void end()) });
const netloom = new Netloom(lab.root);
const conflists = join(lab.root, 'etc/cni/net.d');
const web = join(conflists, 'web.conflist');
const pin = join(lab.root, 'run/netloom/netns/db');
const sh = (script: string) => execFileSync('sh', ['-ec', script], { encoding: 'utf8' });
const inDb = (...args: string[]) => execFileSync('nsenter', [`--net=${pin}`, ...args], { encoding: 'utf8' });
const wires = () => sh('ip -br link show type veth').split('\n').filter(Boolean).length;

/** By the words of the command. The order matters: each finds what those before it have left. */
const effects: Readonly<Record<string, (t: ExecutionContext) => unknown>> = {
  'network create': (t) => {
    netloom.run('network', 'create', '--subnet', '10.90.0.0/24', 'web');
    t.true(existsSync(web));
  },
  'network ls': (t) => t.like(netloom.json('network', 'ls'), { 0: { name: 'web', subnets: ['10.90.0.0/24'] } }),
  'network inspect': (t) => t.like(JSON.parse(netloom.run('network', 'inspect', 'web')), { 0: { name: 'web' } }),
  'network status': (t) => t.is(netloom.run('network', 'status', 'web'), 'web is ready\n'),
  'sandbox create': (t) => {
    netloom.run('sandbox', 'create', '--name', 'db', '--network', 'none');
    t.regex(inDb('ip', '-br', 'addr'), /^lo +\S+ +127\.0\.0\.1\/8/);
  },
  'sandbox ls': (t) => t.like(netloom.json('sandbox', 'ls'), { 0: { name: 'db', state: 'present', netns: pin } }),
  connect: (t) => {
    netloom.run('connect', 'web', 'sandbox:db', '--ip', '10.90.0.9');
    t.regex(inDb('ip', '-br', 'addr'), /^eth0\S* +UP +10\.90\.0\.9\/24/m);
    t.regex(inDb('ping', '-c', '1', '-w', '20', '10.90.0.1'), / 1 received/);
  },
  exec: (t) =>
    t.is(netloom.run('exec', 'db', '--', 'readlink', '/proc/self/ns/net'), inDb('readlink', '/proc/self/ns/net')),
  ps: async (t) => {
    const child = spawn(NETLOOM, ['exec', 'db', '--', 'sleep', '600'], { env: netloom.environment, stdio: 'ignore' });
    const ended = once(child, 'exit');
    const running = () => netloom.json<Json[]>('ps').filter(({ command }) => command === 'sleep 600');
    await until('the process is listed', () => running().length === 1);
    t.like(running(), { 0: { sandbox: 'db' } });
    child.kill('SIGTERM');
    await ended;
  },
  run: (t) => {
    t.regex(netloom.run('run', '--network', 'web', '--', 'ping', '-c', '1', '-w', '20', '10.90.0.9'), / 1 received/);
    t.is(wires(), 1);
  },
  inspect: (t) => {
    t.regex(netloom.run('inspect', 'db'), /^db {2}eth0 10\.90\.0\.9\/24 ⇄ veth\w+ ─ br-web 10\.90\.0\.1\/24/);
    const file = join(lab.root, 'snapshot.json');
    writeFileSync(file, netloom.run('inspect', '--json', 'db'));
    t.is(netloom.run('inspect', 'diff', file, file), '');
  },
  explain: (t) => t.regex(netloom.run('explain', 'db'), /ip addr add 10\.90\.0\.9\/24 brd \+ dev eth0$/m),
  check: (t) => {
    netloom.run('check', 'db');
    inDb('ip', 'addr', 'del', '10.90.0.9/24', 'dev', 'eth0');
    t.is(netloom.try('check', 'db').status, 1);
    inDb('sh', '-c', 'ip addr add 10.90.0.9/24 dev eth0');
  },
  doctor: (t) => {
    t.is(netloom.try('doctor').status, 1, 'the default route went with the address');
    netloom.run('doctor', '--fix');
    t.regex(inDb('ip', 'route'), /^default via 10\.90\.0\.1 dev eth0/m);
  },
  restore: (t) => {
    sh(`umount ${pin}; rm ${pin}`);
    netloom.run('restore');
    t.regex(inDb('ip', '-br', 'addr'), /^eth0\S* +UP +10\.90\.0\.9\/24/m);
  },
  gc: async (t) => {
    const child = spawn('unshare', ['--net', 'sleep', '600'], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const own = readlinkSync('/proc/self/ns/net');
    await until('it has its namespace', () => readlinkSync(`/proc/${child.pid}/ns/net`) !== own);
    netloom.run('connect', 'web', `pid:${child.pid}`);
    const leases = join(lab.root, 'var/lib/cni/networks/web');
    const given = () => readdirSync(leases).filter((name) => name.startsWith('10.'));
    t.is(given().length, 2);
    child.kill('SIGKILL');
    await ended;
    netloom.run('gc');
    t.deepEqual(given(), ['10.90.0.9']);
  },
  'policy apply': (t) => {
    const file = join(lab.root, 'policy.json');
    const policy = { ingress: { default: 'deny' } };
    writeFileSync(file, JSON.stringify({ network: 'web', container: 'db', policy }));
    netloom.run('policy', 'apply', file);
    t.regex(sh('nft list ruleset'), /web\/db\/eth0" : jump ingress4/);
  },
  'policy ls': (t) => t.like(netloom.json('policy', 'ls'), { length: 1 }),
  'policy rm': (t) => {
    netloom.run('policy', 'rm', 'web/db');
    t.notRegex(sh('nft list ruleset'), /web\/db\/eth0" : jump ingress4/);
  },
  disconnect: (t) => {
    netloom.run('disconnect', 'web', 'db');
    t.notRegex(inDb('ip', '-br', 'link'), /eth0/);
    t.is(wires(), 0);
  },
  'sandbox rm': (t) => {
    netloom.run('sandbox', 'rm', 'db');
    t.false(existsSync(pin));
  },
  'network rm': (t) => {
    netloom.run('network', 'rm', 'web');
    t.false(existsSync(web));
    t.is(sh('ip -br link').split('\n').filter(Boolean).length, 1);
  },
  'overlay create': (t) => {
    sh(
      'ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up; ip addr add 192.168.62.2/24 dev up0',
    );
    const path = join(lab.root, 'nodes');
    mkdirSync(path);
    const base = { type: 'overlay', subnet: '10.62.0.0/16', nodePrefix: 24, node: 'here', underlay: '192.168.62.0/24' };
    const plugins = [{ ...base, store: { type: 'file', path } }];
    writeFileSync(join(conflists, 'far.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'far', plugins }));
    netloom.run('overlay', 'create', 'far');
    netloom.run('sandbox', 'create', '--name', 'db', '--network', 'far');
    t.regex(inDb('ip', '-br', 'addr'), /^eth0\S* +UP +10\.62\./m);
  },
  'overlay status': (t) => t.like(netloom.json('overlay', 'status'), { 0: { network: 'far', node: 'here', peers: 0 } }),
  'overlay peers': (t) => {
    const there = { name: 'there', address: '192.168.62.3', subnet: '10.62.200.0/24', machine: 'another' };
    writeFileSync(join(lab.root, 'nodes/10.62.200.0_24.json'), JSON.stringify(there));
    t.like(netloom.json('overlay', 'peers'), { 0: { node: 'here' }, 1: { node: 'there' } });
  },
  'overlay reclaim': (t) => {
    netloom.run('overlay', 'reclaim', 'far', 'there', '--grace', '0');
    t.false(existsSync(join(lab.root, 'nodes/10.62.200.0_24.json')));
    netloom.run('sandbox', 'rm', 'db');
  },
  agent: async (t) => {
    const child = spawn(NETLOOM, ['agent'], { env: netloom.environment, stdio: 'ignore' });
    const ended = once(child, 'exit');
    await until('it serves', () => netloom.try('status').status === 0);
    child.kill('SIGTERM');
    t.deepEqual(await ended, [0, null]);
  },
  status: (t) => t.is(netloom.try('status').status, 3, 'no agent runs'),
  install: (t) => {
    const bin = join(lab.root, 'bin');
    netloom.run('install', '--bin', bin);
    const env = { ...netloom.environment, CNI_COMMAND: 'VERSION' };
    // NB: without stdin. VERSION does not read it, so a writer may get a broken pipe.
    t.regex(
      execFileSync(join(bin, 'bridge'), { env, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' }),
      /"supportedVersions"/,
    );
  },
  uninstall: (t) => {
    netloom.run('uninstall', '--bin', join(lab.root, 'bin'));
    t.deepEqual(readdirSync(join(lab.root, 'bin')), []);
  },
  plugins: (t) =>
    t.true(
      netloom
        .run('plugins')
        .split('\n')
        .some((line) => line.startsWith('bridge')),
    ),
  completion: (t) => {
    const script = netloom.run('completion', 'bash');
    t.regex(
      execFileSync('bash', ['-c', `${script}\ncomplete -p netloom`], { encoding: 'utf8' }),
      /-F _netloom netloom/,
    );
  },
  'demo bridge': (t) => t.regex(netloom.run('demo', 'bridge'), /^blue +→ green +10\.77\.0\.3 /m),
  'demo overlay': (t) => t.regex(netloom.run('demo', 'overlay'), /^blue +→ green +10\.96\.2\.2 /m),
};

test.serial('every command has a test that runs it as a process', (t) => {
  t.deepEqual(
    Object.keys(effects).sort(),
    commandPaths()
      .map((words) => words.join(' '))
      .sort(),
  );
});

for (const [command, effect] of Object.entries(effects)) {
  test.serial(`netloom ${command}`, async (t) => {
    await effect(t);
    t.pass();
  });
}
