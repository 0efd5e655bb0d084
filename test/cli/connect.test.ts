/** `netloom connect` and `disconnect`: processes, namespaces, and engines that answer well, badly or not at all. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';

becomeHost();

interface ConnectJson {
  readonly ifname: string;
  readonly containerId: string;
  readonly addresses: readonly string[];
}

function start(t: ExecutionContext, environment: Record<string, string> = {}) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root, environment);
  const before = lab.snapshot();
  netloom.run('network', 'create', '--subnet', '10.91.0.0/24', 'web');
  netloom.run('network', 'create', '--subnet', '10.92.0.0/24', 'db');
  /** Expects the state from before the test. */
  const isClean = () => {
    netloom.run('network', 'rm', 'web', 'db');
    t.is(lab.snapshot(), before);
  };
  const refusal = (...args: string[]) => {
    const { status, stderr, stdout } = netloom.try(...args);
    t.is(status, 1, stderr);
    t.is(stdout, '');
    return stderr;
  };
  return { lab, netloom, isClean, refusal };
}

/** A process with a network namespace of its own. */
async function startProcess(t: ExecutionContext) {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const end = async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  t.teardown(end);
  await once(child.stdout, 'data');
  const inside = (...command: string[]) =>
    execFileSync('nsenter', ['-t', String(child.pid), '-n', ...command], { encoding: 'utf8' });
  return { target: `pid:${child.pid}`, inside, end };
}

test.serial(
  'a process is wired to two networks, by name, address and MAC, and unwired, hot in both directions',
  async (t) => {
    const { netloom, isClean } = start(t);
    const { target, inside } = await startProcess(t);
    t.is(netloom.run('connect', 'web', target), `${target}  eth0 10.91.0.2/24 on web\n`);
    t.regex(inside('ping', '-c', '1', '-w', '20', '10.91.0.1'), / 1 received/);
    const made = netloom.json<ConnectJson>(
      'connect',
      'db',
      target,
      '--ifname',
      'db0',
      '--ip',
      '10.92.0.77',
      '--mac',
      '02-00-00-00-00-77',
    );
    t.like(made, { ifname: 'db0', addresses: ['10.92.0.77/24'] });
    const [link] = JSON.parse(inside('ip', '-j', 'link', 'show', 'db0')) as Json[];
    t.is(link?.['address'], '02:00:00:00:00:77');
    t.is(netloom.json<ConnectJson>('connect', 'web', target, '--ifname', 'eth1').ifname, 'eth1');
    t.is(netloom.run('disconnect', 'web', target, '--ifname', 'eth0'), `${target}  eth0 is off web\n`);
    t.regex(inside('ip', '-o', 'link'), /eth1@[\s\S]*db0@|db0@[\s\S]*eth1@/);
    netloom.run('disconnect', 'web', target);
    t.notRegex(inside('ip', '-o', 'link'), /eth\d/);
    netloom.run('disconnect', 'db', target);
    isClean();
  },
);

test.serial('a network is not connected twice, unless the second interface is named', async (t) => {
  const { netloom, isClean, refusal } = start(t);
  const { target, inside } = await startProcess(t);
  netloom.run('connect', 'web', target);
  const links = inside('ip', '-o', 'link');
  const twice = new RegExp(
    `Cannot connect ${target} to the network "web": it is connected to it already, by "eth0"\\n {2}for a second interface, name it: --ifname eth1 `,
  );
  t.regex(refusal('connect', 'web', target), twice);
  t.regex(refusal('connect', 'web', target, '--plan'), twice);
  const path = `netns:/proc/${target.replace('pid:', '')}/ns/net`;
  t.regex(refusal('connect', 'web', path), /Cannot connect netns:\S+ to the network "web": it is connected .*"eth0"/);
  t.is(inside('ip', '-o', 'link'), links);
  netloom.run('connect', 'db', target);
  t.is(netloom.json<ConnectJson>('connect', 'web', target, '--ifname', 'web1').ifname, 'web1');
  for (const command of ['run', 'sandbox create', 'sandbox create --plan']) {
    const words = [...command.split(' '), '--network', 'db', '--network', 'db', ...(command === 'run' ? ['true'] : [])];
    t.regex(netloom.try(...words).stderr, /to the network "db": it is connected to it already, by "eth0"/, command);
  }
  netloom.run('run', '--network', 'db', '--network', 'db,ifname=db1', '--', 'ip', 'link', 'show', 'db1');
  netloom.run('disconnect', 'web', target);
  netloom.run('disconnect', 'db', target);
  isClean();
});

test.serial(
  'a process that has ended is disconnected all the same, and its number is not taken for another',
  async (t) => {
    const { netloom, isClean, refusal } = start(t);
    const { target, end } = await startProcess(t);
    netloom.run('connect', 'web', target);
    await end();
    t.regex(refusal('connect', 'web', target), /There is no process \d+/);
    netloom.run('disconnect', 'web', target);
    t.regex(refusal('disconnect', 'web', target), /"pid:\d+" is not connected to the network "web"/);
    isClean();
  },
);

test.serial('a process that ends while it is being connected leaves nothing', async (t) => {
  const { lab, netloom, isClean } = start(t);
  const { target, end } = await startProcess(t);
  // A plugin in the chain that kills the process.
  const bin = join(lab.root, 'opt/cni/bin');
  mkdirSync(bin, { recursive: true });
  const pid = target.slice(4);
  writeFileSync(
    join(bin, 'killer'),
    `#!/bin/sh\nconf=$(cat)\n[ "$CNI_COMMAND" = ADD ] || exit 0\nkill -9 ${pid}\nwhile [ -e /proc/${pid}/ns/net ]; do :; done\necho "$conf" | sed 's/.*"prevResult":\\(.*\\)}$/\\1/'\n`,
    { mode: 0o755 },
  );
  const conflist = join(lab.root, 'etc/cni/net.d/web.conflist');
  const json = JSON.parse(execFileSync('cat', [conflist], { encoding: 'utf8' })) as { plugins: Json[] };
  json.plugins = [json.plugins[0] ?? {}, { type: 'killer' }];
  writeFileSync(conflist, JSON.stringify(json));
  const { status, stderr } = new Netloom(lab.root, { CNI_PATH: bin }).try('connect', 'web', target);
  await end();
  t.is(status, 1);
  t.regex(stderr, /pid:\d+ ended while it was being connected/);
  rmSync(bin, { recursive: true });
  rmSync(join(lab.root, 'opt'), { recursive: true });
  writeFileSync(conflist, JSON.stringify({ ...json, plugins: [json.plugins[0]] }));
  t.deepEqual(
    netloom.json<Json[]>('network', 'ls').map(({ attached }) => attached),
    [[], []],
  );
  isClean();
});

test.serial('a namespace is wired by its path, and unwired though the path is gone', (t) => {
  const { lab, netloom, isClean, refusal } = start(t);
  const sandbox = lab.sandbox('c1');
  const target = `netns:${sandbox.path}`;
  netloom.run('connect', 'web', target);
  t.true(sandbox.reaches('10.91.0.1'));
  t.regex(
    refusal('connect', 'db', target, '--ifname', 'eth0'),
    /Cannot add "eth0": netns:.* has an interface of that name\n {2}it has lo, eth0/,
  );
  sandbox[Symbol.dispose]();
  netloom.run('disconnect', 'web', target);
  isClean();
});

test.serial('a namespace that was made anew at the same path is wired anew', (t) => {
  const { lab, netloom, isClean } = start(t);
  const first = lab.sandbox('c1');
  netloom.run('connect', 'web', `netns:${first.path}`);
  first[Symbol.dispose]();
  const second = lab.sandbox('c1');
  t.is(netloom.json<ConnectJson>('connect', 'web', `netns:${second.path}`).ifname, 'eth0');
  t.true(second.reaches('10.91.0.1'));
  netloom.run('disconnect', 'web', `netns:${second.path}`);
  isClean();
});

test.serial('a network that passes over what is asked for is told of, and nothing is left', (t) => {
  const { lab, netloom, isClean, refusal } = start(t);
  const sandbox = lab.sandbox('c1');
  const file = join(lab.root, 'etc/cni/net.d/fixed.conflist');
  const ipam = { type: 'static', addresses: [{ address: '10.95.0.2/24', gateway: '10.95.0.1' }] };
  writeFileSync(file, JSON.stringify({ cniVersion: '1.0.0', name: 'fixed', plugins: [{ type: 'ptp', ipam }] }));
  const target = `netns:${sandbox.path}`;
  t.regex(
    refusal('connect', 'fixed', target, '--mac', '02:00:00:00:00:01'),
    /did not give "eth0" 02:00:00:00:00:01: its plugins ignore/,
  );
  t.regex(
    refusal('connect', 'fixed', target, '-p', '8080:80'),
    /Cannot attach to the network "fixed" with "portMappings"/,
  );
  t.deepEqual(
    sandbox.ip<{ ifname: string }>('link').map(({ ifname }) => ifname),
    ['lo'],
  );
  rmSync(file);
  t.deepEqual(readdirSync(join(lab.root, 'var/lib/netloom/endpoints')), []);
  netloom.run('connect', 'web', target);
  netloom.run('disconnect', 'web', target);
  isClean();
});

const bad: readonly [title: string, args: readonly string[], status: number, message: RegExp][] = [
  ['a network that is not there', ['webb', 'pid:1'], 1, /There is no network "webb"/],
  [
    'a kind that nobody knows',
    ['web', 'lxc:1'],
    1,
    /"lxc:1" is not a target: "lxc" is not one of sandbox, pid, netns, docker, podman, containerd/,
  ],
  ['nothing named', ['web', 'pid:'], 1, /"pid:" is not a target: it names nothing/],
  ['a process number that is none', ['web', 'pid:one'], 1, /"one" is not a process number/],
  ['a process that is not there', ['web', 'pid:4194305'], 1, /There is no process 4194305/],
  ['a path that leads nowhere', ['web', 'netns:/nowhere'], 1, /Cannot open the network namespace "\/nowhere"/],
  [
    'a path that is something else',
    ['web', 'netns:/etc/passwd'],
    1,
    /Cannot use "\/etc\/passwd" as a network namespace/,
  ],
  [
    'the host itself',
    ['web', 'netns:/proc/self/ns/net'],
    1,
    /its network is that of the host\n {2}start the container with --network none/,
  ],
  ['a sandbox that is not there', ['web', 'sandbox:x'], 1, /There is no sandbox "x"/],
  [
    'a name that nobody has',
    ['web', 'nobody'],
    1,
    /There is no sandbox or container "nobody"\n {2}asked: no engine, none has a socket here/,
  ],
  ['an engine that is not here', ['web', 'docker:x'], 1, /docker does not answer on ".*no.sock"\n {2}.*ENOENT/],
  [
    'an interface name that is too long',
    ['web', 'pid:1', '--ifname', 'a234567890123456'],
    2,
    /it is longer than 15 bytes/,
  ],
  [
    'an interface name that is a pattern',
    ['web', 'pid:1', '--ifname', 'eth%d'],
    2,
    /"eth%d" cannot be the name of an interface/,
  ],
  ['an address that is none', ['web', 'pid:1', '--ip', '10.1'], 2, /"10.1" is not an IP address/],
  ['a MAC that is none', ['web', 'pid:1', '--mac', '02:00'], 2, /"02:00" is not a MAC address/],
  [
    'a host port without one of the container',
    ['web', 'pid:1', '-p', '80:'],
    2,
    /"80:" cannot be published: it is malformed, expected \[\[HOSTIP:\]\[HOSTPORT\]:\]CONTAINERPORT/,
  ],
  ['a port that is none', ['web', 'pid:1', '-p', '0:80'], 2, /"0" is not a port/],
  ['ranges that differ', ['web', 'pid:1', '-p', '1-2:1-3'], 2, /the ranges differ in length/],
  ['a protocol that is none', ['web', 'pid:1', '-p', '1:1/icmp'], 2, /"icmp" is not a protocol/],
  ['a host address that is none', ['web', 'pid:1', '-p', 'a:1:1'], 2, /"a" is not an address/],
];
for (const [title, args, expected, message] of bad) {
  test.serial(`connect refuses ${title}`, (t) => {
    const { lab, isClean } = start(t);
    const environment = {
      DOCKER_HOST: `unix://${lab.root}/no.sock`,
      CONTAINER_HOST: `unix://${lab.root}/no.sock`,
      CONTAINERD_STATE: lab.root,
    };
    const { status, stderr, stdout } = new Netloom(lab.root, environment).try('connect', ...args);
    t.regex(stderr, message);
    t.is(status, expected);
    t.is(stdout, '');
    isClean();
  });
}

/** A daemon with given answers. It is a process of its own, because the tests wait for commands synchronously. */
async function fakeEngine(t: ExecutionContext, socket: string, containers: Json) {
  const script = fileURLToPath(new URL('fake-engine.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, socket, JSON.stringify(containers)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
}

test.serial('what takes over a second is told of on a terminal, and nowhere else', async (t) => {
  const { lab, isClean } = start(t);
  const { target } = await startProcess(t);
  const socket = join(lab.root, 'slow.sock');
  const app = { Id: 'a'.repeat(64), Name: '/app', State: { Running: true, Pid: Number(target.slice(4)) }, delay: 4000 };
  await fakeEngine(t, socket, { app });
  const netloom = new Netloom(lab.root, { DOCKER_HOST: `unix://${socket}`, TERM: 'xterm' });
  const plan = ['connect', 'web', 'docker:app', '--shared', '--plan'];
  const seen = execFileSync('script', ['-q', '-e', '-c', `${NETLOOM} ${plan.join(' ')}`, '/dev/null'], {
    env: netloom.environment,
    encoding: 'utf8',
  });
  const clear = '\r\u001b[K';
  t.true(seen.includes(`${clear}netloom: asking docker, 1 s`), seen);
  t.true(seen.includes(`${clear}  1. on the host: `), 'the answer begins in a clear line');
  const file = join(lab.root, 'answer');
  execFileSync('script', ['-q', '-e', '-c', `${NETLOOM} ${plan.join(' ')} >${file}`, '/dev/null'], {
    env: netloom.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.regex(readFileSync(file, 'utf8'), /^ {2}1\. on the host: /, 'what goes to a file is the answer alone');
  rmSync(file);
  const piped = netloom.try(...plan);
  t.is(piped.stderr, '');
  t.regex(piped.stdout, /^ {2}1\. on the host: /);
  isClean();
});

test.serial(
  'a name alone is looked for in every engine that is here; one that does not answer is no reason to fail',
  async (t) => {
    const { lab, isClean } = start(t);
    const { target, inside } = await startProcess(t);
    const pid = Number(target.slice(4));
    const id = 'a'.repeat(64);
    const sockets = { docker: join(lab.root, 'd.sock'), podman: join(lab.root, 'p.sock') };
    await fakeEngine(t, sockets.docker, { app: { Id: id, Name: '/app', State: { Running: true, Pid: pid } } });
    writeFileSync(sockets.podman, '');
    const environment = {
      DOCKER_HOST: `unix://${sockets.docker}`,
      CONTAINER_HOST: `unix://${sockets.podman}`,
      CONTAINERD_STATE: lab.root,
    };
    const netloom = new Netloom(lab.root, environment);
    const { status, stderr, stdout } = netloom.try('connect', 'web', 'app');
    t.regex(stderr, /^netloom: podman does not answer on ".*p.sock"\n$/);
    t.is(status, 0);
    t.is(stdout, 'docker:app  eth0 10.91.0.2/24 on web\n');
    t.regex(inside('ip', '-o', 'link'), /eth0@/);
    t.regex(
      netloom.try('connect', 'web', 'other').stderr,
      /There is no sandbox or container "other"\n {2}podman does not answer/,
    );
    // Found by the beginning of the id, without asking an engine.
    t.is(new Netloom(lab.root).run('disconnect', 'web', 'aaaaaaaaaaaa'), 'docker:app  eth0 is off web\n');
    rmSync(sockets.podman);
    await fakeEngine(t, sockets.podman, {
      app: { Id: 'b'.repeat(64), Name: '/app', State: { Running: true, Pid: pid } },
    });
    t.regex(
      netloom.try('connect', 'web', 'app').stderr,
      /Several engines have a container "app"\n {2}name one: docker:app, podman:app/,
    );
    rmSync(sockets.docker);
    rmSync(sockets.podman);
    isClean();
  },
);

const answers: readonly [title: string, container: Json, message: RegExp][] = [
  [
    'one that is not running',
    { Id: 'a'.repeat(64), Name: '/app', State: { Running: false, Pid: 0 } },
    /Cannot connect docker:app: it is not running/,
  ],
  [
    'one whose process has ended',
    { Id: 'a'.repeat(64), Name: '/app', State: { Running: true, Pid: 4194305 } },
    /Cannot connect docker:app: it is not running/,
  ],
  ['an answer that is none', { Id: 7 }, /Cannot read what docker answers: "Id" is 7, expected a string/],
  [
    'a failure',
    { failure: 500, message: 'the disk is on fire' },
    /docker answers with status 500: the disk is on fire/,
  ],
  [
    'what is no HTTP',
    { raw: 'SSH-2.0-OpenSSH' },
    /What docker answers on ".*" is not HTTP\n {2}it begins with "SSH-2.0-OpenSSH"/,
  ],
];
for (const [title, container, message] of answers) {
  test.serial(`an engine that answers with ${title}`, async (t) => {
    const { lab, isClean } = start(t);
    const socket = join(lab.root, 'd.sock');
    await fakeEngine(t, socket, { app: container });
    const { status, stderr } = new Netloom(lab.root, { DOCKER_HOST: `unix://${socket}` }).try(
      'connect',
      'web',
      'docker:app',
    );
    t.regex(stderr, message);
    t.is(status, 1);
    rmSync(socket);
    isClean();
  });
}

test.serial("containers of containerd are found by their shims' files", async (t) => {
  const { lab, isClean, refusal } = start(t);
  const { target } = await startProcess(t);
  const root = join(lab.root, 'containerd/io.containerd.runtime.v2.task');
  for (const namespace of ['default', 'k8s.io', 'moby']) {
    mkdirSync(join(root, namespace, 'app'), { recursive: true });
    writeFileSync(join(root, namespace, 'app/init.pid'), target.slice(4));
  }
  const netloom = new Netloom(lab.root, {
    CONTAINERD_STATE: join(lab.root, 'containerd'),
    DOCKER_HOST: 'unix:///no',
    CONTAINER_HOST: 'unix:///no',
  });
  t.regex(netloom.try('connect', 'web', 'app').stderr, /"app" matches several containers of containerd/);
  rmSync(join(root, 'k8s.io'), { recursive: true });
  mkdirSync(join(root, 'default', 'sidecar'));
  writeFileSync(join(root, 'default/sidecar/init.pid'), target.slice(4));
  t.regex(
    netloom.try('connect', 'web', 'app').stderr,
    /it shares its network namespace with "sidecar"\n {2}with --shared both/,
  );
  rmSync(join(root, 'default/sidecar'), { recursive: true });
  t.is(netloom.run('connect', 'web', 'app'), 'containerd:app  eth0 10.91.0.2/24 on web\n');
  netloom.run('disconnect', 'web', 'containerd:app');
  t.regex(refusal('disconnect', 'web', 'containerd:app'), /is not connected to the network "web"/);
  rmSync(join(lab.root, 'containerd'), { recursive: true });
  isClean();
});

test.serial('a record that is damaged is set aside and told of, and does not keep what it tells of', async (t) => {
  const { lab, netloom, isClean } = start(t);
  const directory = join(lab.root, 'var/lib/netloom/endpoints');
  const damage = () => {
    const [name = ''] = readdirSync(directory);
    writeFileSync(join(directory, name), '{"format":1');
    return name;
  };
  const { target, end } = await startProcess(t);
  netloom.run('connect', 'web', target);
  const name = damage();
  t.regex(netloom.try('gc').stderr, /Cannot read ".*": .*; it was set aside as ".*\.damaged"/);
  t.true(existsSync(join(directory, `${name}.damaged`)));
  t.regex(netloom.try('connect', 'web', target).stderr, /it is connected to it already, by "eth0"/);
  const findings = () => JSON.parse(netloom.try('doctor', '--json').stdout) as Json[];
  t.like(findings(), {
    length: 1,
    0: { check: 'lost-endpoint', mend: '"netloom disconnect", then "netloom connect" it again' },
  });
  t.is(netloom.run('disconnect', 'web', target), `${target}  eth0 is off web\n`);
  netloom.run('connect', 'web', target);
  damage();
  await end();
  t.like(findings(), { length: 1, 0: { check: 'lost-endpoint', mend: '"netloom gc" removes it' } });
  t.regex(netloom.run('gc'), /^eth0 of pid-\S+ on web: removed, its record is damaged, and its namespace gone$/m);
  t.deepEqual(findings(), []);
  isClean();
});
