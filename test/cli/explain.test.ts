/** `netloom explain`, `--plan` and `--script`: commands of ip, nft and sysctl that do the same as the plugins. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pinNew } from '../../src/netns/pin.ts';
import { Netloom } from '../support/command.ts';
import { becomeHost, mounts } from '../support/host.ts';
import { inOrder } from '../support/in-order.ts';
import type { Json } from '../support/lab.ts';
import { until } from '../support/until.ts';
import { isSeenFrom, makesTheSame, PARENT, snapshotIn, startLab, writeConflist } from './scripted.ts';

becomeHost();

const nodes = [
  { name: 'here', address: '192.168.62.2', subnet: '10.62.1.0/24' },
  { name: 'there', address: '192.168.62.3', subnet: '10.62.2.0/24' },
];
const overlay = { type: 'overlay', subnet: '10.62.0.0/16', nodePrefix: 24, store: { type: 'static', nodes } };
const bridge = {
  type: 'bridge',
  bridge: 'br-demo',
  isDefaultGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.62.0.0/24' }]] },
};
const portmap = { type: 'portmap', capabilities: { portMappings: true } };
const limits = { ingressRate: 20_000_000, ingressBurst: 400_000, egressRate: 40_000_000, egressBurst: 400_000 };

/** Options of `network create`, or the plugins of a conflist. */
const networks: readonly [title: string, create: readonly string[] | readonly Json[], run: readonly string[]][] = [
  ['a bridge with both families and a published port', ['--subnet', '10.62.0.0/24', '--ipv6'], ['-p', '8062:80']],
  ['an internal bridge', ['--internal', '--subnet', '10.62.0.0/24'], []],
  ['ptp', ['-d', 'ptp', '--subnet', '10.62.0.0/24'], ['-p', '8062:80/udp']],
  [
    'macvlan',
    ['-d', 'macvlan', '-o', 'parent=up0', '--subnet', '192.168.62.0/24', '--ip-range', '192.168.62.64/26'],
    [],
  ],
  ['a bridge with limits', [bridge, { type: 'bandwidth', ...limits }], []],
  ['a bridge with limits for some', [bridge, { type: 'bandwidth', ...limits, shapedSubnets: ['10.9.0.0/16'] }], []],
  ['an overlay', [overlay], []],
  ['an overlay whose wires are routed', [{ ...overlay, wiring: 'routed' }], []],
  ['an overlay of one layer 2 with a published port', [{ ...overlay, mode: 'l2' }, portmap], ['-p', '8062:80']],
];
for (const [title, create, run] of networks) {
  test.serial(`the script of ${title} makes in a fresh namespace what the plugins have made`, async (t) => {
    const { shaping } = await makesTheSame(t, create, run);
    t.is(/htb|tbf/.test(shaping), title.includes('limits'));
  });
}

test.serial('connect --plan says what connect does next, and does nothing', (t) => {
  const { lab, netloom, sandbox } = startLab(t);
  netloom.run('network', 'create', '--subnet', '10.63.0.0/24', 'demo');
  sandbox('first', '--network', 'none');
  sandbox('web', '--network', 'none');
  const fresh = netloom.run('connect', 'demo', 'web', '--plan');
  t.regex(
    fresh,
    /^ {2}1\. on the host: create the bridge link "br-demo"\n {7}ip link add br-demo .*type bridge\n {7}ip link set br-demo up$/m,
  );
  t.regex(
    fresh,
    /in the container: add address 10\.63\.0\.2\/24 to link "eth0"\n {7}nsenter --net="\$CONTAINER" ip addr add 10\.63\.0\.2\/24 brd \+ dev eth0$/m,
  );
  netloom.run('connect', 'demo', 'first', '-p', '8064:80');
  const before = lab.snapshot();
  const plan = netloom.run('connect', 'demo', 'web', '-p', '8063:80', '--plan');
  t.is(lab.snapshot(), before);
  t.notRegex(plan, /create the bridge|add the table/, 'what stands is not made again');
  t.regex(plan, /10\.63\.0\.3\/24/, 'the address that is next');
  t.regex(
    plan,
    /nft 'create element inet netloom portmap4 \{ tcp \. 8063 comment "demo\/web\/eth0" : 10\.63\.0\.3 \. 80 \}'/,
  );
  // The script does on this very host what it says.
  const script = netloom.run('connect', 'demo', 'web', '--script');
  execFileSync('bash', { input: script, stdio: ['pipe', 'inherit', 'inherit'] });
  t.regex(
    netloom.run('inspect', '--paths', 'web'),
    /^web {2}eth0 10\.63\.0\.3\/24 ⇄ veth\w+ ─ br-demo 10\.63\.0\.1\/24/,
  );
  t.regex(netloom.try('connect', 'demo', 'web', '--plan', '--script').stderr, /Cannot combine --plan and --script/);
  t.regex(netloom.run('explain', 'network:demo'), /10\.63\.0\.\d+\/24 brd \+ dev eth0/);
});

test.serial('a script runs on a host whose table other networks have made, and makes what connect makes', (t) => {
  const { netloom, sandbox } = startLab(t);
  const ruleset = () => inOrder(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }));
  netloom.run('network', 'create', '--subnet', '10.68.0.0/24', 'standing');
  sandbox('first', '--network', 'standing');
  // As docker leaves it. From here on, a rule of ours is needed in it, too.
  execFileSync('iptables', ['-P', 'FORWARD', 'DROP']);
  t.teardown(() => execFileSync('nft', ['delete', 'table', 'ip', 'filter']));
  netloom.run('network', 'create', '--subnet', '10.69.0.0/24', 'demo');
  sandbox('web', '--network', 'none');
  const connect = ['connect', 'demo', 'web', '-p', '8069:80', '--ip', '10.69.0.9'];
  const fresh = netloom.run(...connect, '--script');
  t.regex(fresh, /insert rule ip filter FORWARD .*jump NETLOOM-FORWARD/, 'past the policy that drops');
  netloom.run(...connect);
  const made = [ruleset(), netloom.run('inspect', '--paths', 'web')];
  netloom.run('disconnect', 'demo', 'web');
  const script = netloom.run(...connect, '--script');
  t.notRegex(script, /create map inet netloom masquerade4 /, 'what stands is not made again');
  execFileSync('bash', { input: script, stdio: ['pipe', 'inherit', 'inherit'] });
  t.deepEqual([ruleset(), netloom.run('inspect', '--paths', 'web')], made);
});

test.serial(
  'sandbox create --script makes the sandbox and its networks, run --plan tells of them, and neither does',
  (t) => {
    const { lab, netloom } = startLab(t);
    netloom.run('network', 'create', '--subnet', '10.70.0.0/24', 'front');
    netloom.run('network', 'create', '--subnet', '10.71.0.0/24', 'back');
    const asked = ['--name', 'web', '--network', 'front,ip=10.70.0.9', '--network', 'back,ifname=db0', '-p', '8070:80'];
    const before = [lab.snapshot(), mounts()];
    const script = netloom.run('sandbox', 'create', ...asked, '--script');
    const plan = netloom.run('run', ...asked, '--plan', '--', 'false');
    t.regex(plan, /^ {2}1\. on the host: make the network namespace ".*\/netns\/web"$/m);
    t.regex(plan, /add address 10\.71\.0\.2\/24 to link "db0"$/m);
    t.deepEqual([lab.snapshot(), mounts()], before);
    t.deepEqual(netloom.json('sandbox', 'ls'), []);
    const path = join(lab.root, 'made-by-script');
    execFileSync('bash', {
      input: script,
      env: { ...process.env, CONTAINER: path },
      stdio: ['pipe', 'inherit', 'inherit'],
    });
    t.teardown(() => execFileSync('umount', [path]));
    const inside = execFileSync('nsenter', [`--net=${path}`, 'ip', '-br', '-4', 'addr'], { encoding: 'utf8' });
    t.regex(inside, /^eth0@\S+ +UP +10\.70\.0\.9\/24/m);
    t.regex(inside, /^db0@\S+ +UP +10\.71\.0\.2\/24/m);
    t.regex(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }), /tcp \. 8070.* : 10\.70\.0\.9 \. 80/);
    const shared = netloom.try('run', '--network', 'host', '--script', '--', 'true');
    t.is(shared.status, 0);
    t.regex(shared.stderr, /nothing is attached/);
  },
);

const WAY_PAST = `-A NETLOOM-FORWARD -m comment --comment "rules of the administrator" -j CNI-ADMIN
-A NETLOOM-FORWARD -m mark --mark 0x1000/0x1000 -m comment --comment "allowed by netloom" -j ACCEPT`;

test.serial('the way past iptables is told, and made where iptables has no chain yet', async (t) => {
  const drops = 'iptables -P FORWARD DROP';
  const { script, rules } = await makesTheSame(t, ['--subnet', '10.62.0.0/24'], [], drops);
  t.regex(rules, /chain FORWARD \{\n.*policy drop;\n.*jump NETLOOM-FORWARD/);
  const { lab } = startLab(t);
  const [host, web] = [lab.sandbox('without-iptables'), lab.sandbox('web')];
  execFileSync('nsenter', [`--net=${host.path}`, 'bash'], {
    input: script,
    env: { ...process.env, CONTAINER: web.path },
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const listed = host.run('iptables', '-S');
  t.regex(listed, /^-P FORWARD ACCEPT$[\s\S]*^-A FORWARD -m comment --comment netloom -j NETLOOM-FORWARD$/m);
  t.is(listed.match(/^-A NETLOOM-FORWARD .*$/gm)?.join('\n'), WAY_PAST, 'each rule says what it is for, as ours do');
});

const forgotten: readonly [title: string, leave: string][] = [
  ["whose attachments are in another runtime's cache", 'true'],
  // The state that an agent makes before there is a container.
  [
    'that no container is attached to',
    'nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0; ls /sys/class/net/nlb-*/brif | xargs -n 1 ip link del',
  ],
];
for (const [title, leave] of forgotten) {
  test.serial(`a script is of use on a host with devices of an overlay ${title}`, (t) => {
    const { lab, netloom, sandbox } = startLab(t);
    const state = () => [
      inOrder(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })),
      netloom.run('inspect', '--paths', 'web'),
    ];
    execFileSync('sh', ['-ec', PARENT]);
    writeConflist(lab, 'net', [overlay]);
    sandbox('web', '--network', 'none');
    const prepare = () => {
      sandbox('other', '--network', 'net,ip=10.62.1.8');
      rmSync(join(lab.root, 'var/lib/cni/results'), { recursive: true });
      execFileSync('sh', ['-ec', leave]);
    };
    const connect = ['connect', 'net', 'web', '--ip', '10.62.1.9'];
    prepare();
    netloom.run(...connect);
    const made = state();
    netloom.run('disconnect', 'net', 'web');
    netloom.run('sandbox', 'rm', 'other');
    prepare();
    const script = netloom.run(...connect, '--script');
    execFileSync('bash', { input: script, stdio: ['pipe', 'inherit', 'inherit'] });
    t.deepEqual(state(), made);
    t.regex(netloom.run('explain', 'network:net'), /eth0/);
  });
}

test.serial('the script of run makes what run makes, and runs the command there with the same files', async (t) => {
  const { lab, netloom } = startLab(t);
  execFileSync('sh', ['-ec', PARENT]);
  netloom.run('network', 'create', '--subnet', '10.72.0.0/24', 'demo');
  const said = join(lab.root, 'said');
  const looks = 'cat /etc/resolv.conf /etc/hosts; ls /sys/class/net /sys/fs/cgroup && echo "it\'s all"';
  const command = ['sh', '-c', `{ ${looks}; } >"$0.new"; mv "$0.new" "$0"; exec sleep 600`, said];
  const asked = ['--name', 'web', '--network', 'demo,ip=10.72.0.9,mac=02:00:00:00:72:09', '-p', '8072:80'];
  asked.push('--dns', '192.0.2.53', '--dns-search', 'example.org', '--add-host', 'db:10.72.0.10');
  asked.push('--add-host', 'me:host-gateway');
  const found = [lab.snapshot(), mounts()];
  const script = netloom.run('run', ...asked, '--script', '--', ...command);
  const plan = netloom.run('run', ...asked, '--plan', '--', ...command);
  t.deepEqual([lab.snapshot(), mounts()], found);
  t.regex(plan, /in the container: show in the place of "\/etc\/hosts"\n[\s\S]* {7}10\.72\.0\.1\tme\n/);
  t.regex(plan, /in the container: run the command\n {7}sh -c '\{ cat /);

  netloom.run('run', '--detach', ...asked, '--', ...command);
  t.teardown(() => netloom.try('sandbox', 'rm', '--force', 'web'));
  await until('the command of run has looked round', () => existsSync(said));
  const heard = readFileSync(said, 'utf8');
  t.regex(heard, /^search example\.org\nnameserver 192\.0\.2\.53\n[\s\S]*^10\.72\.0\.1\tme\n[\s\S]*^it's all\n$/m);
  const made = snapshotIn(netloom);
  const rules = execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
  netloom.run('sandbox', 'rm', '--force', 'web');
  rmSync(said);

  const host = lab.sandbox('host-of-script');
  host.run('sh', '-ec', `ip link set lo up; ${PARENT}`);
  const file = join(lab.root, 'run.sh');
  writeFileSync(file, script);
  const path = join(lab.root, 'netns/web');
  const env = { ...process.env, CONTAINER: path, TMPDIR: lab.root };
  const child = spawn('nsenter', [`--net=${host.path}`, 'bash', file], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  t.teardown(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    execFileSync('umount', [path]);
  });
  await until('the command of the script has looked round', () => existsSync(said));
  t.is(readFileSync(said, 'utf8'), heard);
  t.deepEqual(inOrder(host.run('nft', 'list', 'ruleset')), inOrder(rules));
  await isSeenFrom(t, netloom, host, made, 'mac'); // the host's end gets a new MAC each time
});

test.serial("the scripts of run on the host's network and on another sandbox's run the command there", (t) => {
  const { netloom, sandbox } = startLab(t);
  sandbox('db', '--network', 'none');
  const bash = (input: string) => execFileSync('bash', { input, encoding: 'utf8' });
  const command = ['--script', '--', 'sh', '-c', 'readlink /proc/self/ns/net; cat /etc/hosts'];
  const own = execFileSync('sh', ['-c', 'readlink /proc/self/ns/net; cat /etc/hosts'], { encoding: 'utf8' });
  t.is(bash(netloom.run('run', '--network', 'host', ...command)), own);
  const shared = bash(netloom.run('run', '--name', 'x', '--network', 'container:db', ...command));
  t.is(shared, netloom.run('run', '--name', 'x', '--network', 'container:db', ...command.slice(1)));
  t.not(shared.split('\n')[0], own.split('\n')[0]);
  t.deepEqual(netloom.json('ps'), []);
});

for (const store of ['path', 'etcd']) {
  test.serial(`a plan joins no overlay: the store is as it was, by ${store}`, (t) => {
    const { lab, netloom, sandbox } = startLab(t);
    execFileSync('sh', ['-ec', PARENT]);
    const nodes = join(lab.root, 'nodes');
    mkdirSync(nodes);
    const option = store === 'path' ? `path=${nodes}` : 'etcd=http://127.0.0.1:1';
    const options = [option, 'node=here', 'underlay=192.168.62.0/24'].flatMap((each) => ['-o', each]);
    netloom.run('network', 'create', '-d', 'overlay', '--subnet', '10.62.0.0/16', ...options, 'far');
    if (store === 'path') netloom.run('overlay', 'create', 'far');
    else {
      // The state left by an agent that has joined and is not running now.
      const state = join(lab.root, 'var/lib/netloom');
      const own = { name: 'here', address: '192.168.62.2', subnet: '10.62.7.0/24', machine: 'm'.repeat(32) };
      mkdirSync(join(state, 'overlay'), { recursive: true });
      writeFileSync(join(state, 'machine'), `${own.machine}\n`);
      writeFileSync(join(state, 'overlay/far.json'), `${JSON.stringify([own])}\n`);
    }
    sandbox('web', '--network', 'none');
    const before = lab.snapshot();
    const plan = netloom.run('connect', 'far', 'web', '--plan');
    t.is(lab.snapshot(), before);
    t.regex(plan, store === 'path' ? /10\.62\.\d+\.2\/24 brd/ : /10\.62\.7\.2\/24 brd/);
    netloom.run('connect', 'far', 'web');
    const joined = lab.snapshot();
    t.regex(netloom.run('explain', 'web'), /ip addr add 10\.62\.\d+\.2\/24 brd \+ dev eth0$/m);
    t.is(lab.snapshot(), joined);
  });
}

test.serial('network create --plan and --script are about a file', (t) => {
  const { lab, netloom } = startLab(t);
  const args = ['network', 'create', '--subnet', '10.64.0.0/24', 'demo'];
  const file = join(lab.root, 'etc/cni/net.d/demo.conflist');
  t.true(netloom.run(...args, '--plan').startsWith(`Write "${file}":\n\n{\n`));
  const script = netloom.run(...args, '--script');
  t.deepEqual(JSON.parse(netloom.run('network', 'ls', '--json')), []);
  execFileSync('bash', { input: script });
  t.like(netloom.json('network', 'ls'), { 0: { name: 'demo', subnets: ['10.64.0.0/24'] } });
});

test.serial('what a rehearsal that was killed has left goes with the next one', (t) => {
  const { lab, netloom } = startLab(t);
  netloom.run('network', 'create', '--subnet', '10.67.0.0/24', 'demo');
  const left = join(lab.root, 'run/netloom/rehearsal-4194305'); // There is no process with so high a number.
  pinNew(join(left, 'host'));
  mkdirSync(join(left, 'var/lib'), { recursive: true });
  netloom.run('explain', 'network:demo');
  t.false(existsSync(left));
  t.notRegex(mounts(), /rehearsal/);
});

test.serial('what cannot be explained is said', (t) => {
  const { lab, netloom, sandbox } = startLab(t);
  sandbox('web', '--network', 'none');
  t.regex(netloom.try('explain', 'web').stderr, /^netloom: sandbox:web is attached to no network/);
  t.regex(netloom.try('explain', 'network:none-such').stderr, /There is no network "none-such"/);
  // A third-party plugin runs in the rehearsal, but its actions cannot be explained.
  const bin = join(lab.root, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'strange'), '#!/bin/sh\ncat >/dev/null; echo "{\\"cniVersion\\": \\"1.0.0\\"}"\n', {
    mode: 0o755,
  });
  const strange = new Netloom(lab.root, { CNI_PATH: bin });
  writeConflist(lab, 'strange', [{ type: 'strange' }]);
  t.is(
    strange.run('explain', 'network:strange'),
    '     "strange" is somebody else\'s plugin: what it does is not known\n',
  );
  t.regex(strange.run('explain', '--script', 'network:strange'), /^# NB: "strange" is somebody else's plugin/m);
});
