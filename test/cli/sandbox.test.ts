/** `netloom run`, `sandbox`, `exec` and `ps`. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';

becomeHost();

function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  const before = lab.snapshot();
  netloom.run('network', 'create', '--subnet', '10.91.0.0/24', 'web');
  netloom.run('network', 'create', '--subnet', '10.92.0.0/24', 'db');
  const isClean = () => {
    netloom.run('network', 'rm', 'web', 'db');
    t.is(lab.snapshot(), before);
    const pins = join(lab.root, 'run/netloom/netns');
    t.deepEqual(existsSync(pins) ? readdirSync(pins) : [], []);
  };
  /** Starts `netloom run …` with a shell, and waits for its first line. */
  const background = async (...args: string[]) => {
    const child = spawn(NETLOOM, ['run', ...args], { env: netloom.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return { child, line, ended: once(child, 'close') as Promise<[number | null, string | null]> };
  };
  return { lab, netloom, isClean, background };
}

test.serial('run gives a command networks of its own, its names, and takes everything away at its end', (t) => {
  const { netloom, isClean } = start(t);
  const script = [
    "ip -o -4 addr show | awk '{ print $2, $4 }'",
    'grep -v "^#" /etc/resolv.conf',
    'cat /etc/hosts',
    'ls /sys/class/net',
    'ping -c 1 -w 20 -q 10.91.0.1 > /dev/null && echo reached',
  ];
  const output = netloom.run(
    ...['run', '--name', 'site', '--network', 'web,ip=10.91.0.20,mac=02:00:00:00:00:20', '--network', 'db,ifname=db0'],
    ...[
      '--dns',
      '10.91.0.1',
      '--dns',
      'fd00::1',
      '--dns-search',
      'example.org',
      '--add-host',
      'other:10.9.9.9',
      '--add-host=six=fd00::9',
    ],
    ...['--', 'sh', '-c', script.join(';')],
  );
  t.is(
    output,
    `lo 127.0.0.1/8
eth0 10.91.0.20/24
db0 10.92.0.2/24
search example.org
nameserver 10.91.0.1
nameserver fd00::1
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
10.91.0.20\tsite
10.92.0.2\tsite
10.9.9.9\tother
fd00::9\tsix
db0
eth0
lo
reached
`,
  );
  isClean();
});

test.serial(
  'a network whose plugin is not there is refused before anything is made that it could not take away',
  (t) => {
    const { lab, netloom } = start(t);
    const odd = { cniVersion: '1.1.0', name: 'odd', plugins: [{ type: 'brige' }] };
    writeFileSync(join(lab.root, 'etc/cni/net.d/odd.conflist'), JSON.stringify(odd));
    const { status, stderr } = netloom.try('run', '--network', 'odd', '--', 'true');
    t.is(status, 125);
    t.regex(
      stderr,
      /^netloom: failed to find plugin "brige" in path \[.*\]\n {2}the network "odd" names it; [^\n]*\n$/,
    );
    t.deepEqual(netloom.json('ps'), []);
    t.deepEqual(readdirSync(join(lab.root, 'var/lib/netloom/sandboxes')), []);
  },
);

test.serial("a port without the host's gets a free one, and host-gateway is the host's address", (t) => {
  const { netloom, isClean } = start(t);
  const asked = ['--network', 'web', '-p', '80', '-p', '127.0.0.1::80/udp', '--add-host', 'up:host-gateway'];
  const words = netloom.run('sandbox', 'create', '--name', 'site', ...asked);
  const [, tcp = '', udp = ''] = /, (\d+)->80\/tcp, 127\.0\.0\.1:(\d+)->80\/udp$/m.exec(words) ?? [];
  for (const port of [tcp, udp]) t.true(Number(port) >= 1024 && Number(port) <= 65535, words);
  t.true(netloom.run('sandbox', 'ls').includes(`${tcp}->80/tcp`));
  t.regex(
    execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }),
    new RegExp(`tcp \\. ${tcp} .*10\\.91\\.0\\.2 \\. 80`),
  );
  netloom.run('exec', 'site', '--', 'sh', '-ec', "grep -qx '10.91.0.1\tup' /etc/hosts; ping -c 1 -w 20 -q up");
  // A range with a single port: a second request gets none.
  execFileSync('sysctl', ['-qw', 'net.ipv4.ip_local_port_range=40000 40000']);
  t.teardown(() => execFileSync('sysctl', ['-qw', 'net.ipv4.ip_local_port_range=32768 60999']));
  t.regex(netloom.run('run', '--name', 'b', '--network', 'web', '-p', '80', '--plan', '--', 'true'), /tcp \. 40000/);
  t.regex(
    netloom.try('sandbox', 'create', '--network', 'web', '-p', '80-81').stderr,
    /Cannot publish 81\/tcp: no port is free/,
  );
  const nowhere = netloom.try('sandbox', 'create', '--network', 'none', '--add-host', 'up:host-gateway');
  t.is(nowhere.status, 1);
  t.regex(nowhere.stderr, /no network of the sandbox has an address of the host/);
  netloom.run('sandbox', 'rm', 'site');
  isClean();
});

test.serial(
  'run --detach prints the name and leaves; the end of the command, or rm --force, takes the sandbox away',
  async (t) => {
    const { lab, netloom, isClean } = start(t);
    const fifo = join(lab.root, 'end');
    execFileSync('mkfifo', [fifo]);
    const detached = ['run', '--detach', '--network', 'web', '-p', '8091:80'];
    t.is(netloom.run(...detached, '--name', 'site', '--', 'sh', '-c', `read line < '${fifo}'`), 'site\n');
    t.like(netloom.json('ps'), { 0: { sandbox: 'site', command: `sh -c read line < '${fifo}'` } });
    writeFileSync(fifo, 'go\n');
    const isGone = () => netloom.json<unknown[]>('sandbox', 'ls').length === 0;
    await until('no sandbox is left', isGone);
    const name = netloom.run(...detached, '--', 'sleep', '600').trim();
    t.regex(name, /^sb-[0-9a-f]{6}$/);
    netloom.run('sandbox', 'rm', '--force', name);
    t.true(isGone());
    const none = netloom.try(...detached, '--', 'no-such-command');
    t.is(none.status, 127);
    t.regex(none.stderr, /^netloom: Cannot run "no-such-command": there is no such command/);
    const refused = netloom.try('run', '-d', '--network', 'nowhere', '--', 'true');
    t.is(refused.status, 125);
    t.regex(refused.stderr, /There is no network "nowhere"/);
    await until('no sandbox is left', isGone);
    isClean();
  },
);

test.serial('nothing of a sandbox is seen outside: mounts, files, directory', (t) => {
  const { netloom, isClean } = start(t);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  const hosts = readFileSync('/etc/hosts', 'utf8');
  t.is(
    netloom.run('run', '--', 'sh', '-c', 'pwd; mount -t tmpfs tmpfs /mnt; ls /sys/class/net').trim(),
    `${process.cwd()}\nlo`,
  );
  t.is(readFileSync('/proc/self/mountinfo', 'utf8'), mounts);
  t.is(readFileSync('/etc/hosts', 'utf8'), hosts);
  isClean();
});

const statuses: readonly [title: string, command: readonly string[], status: number, message: RegExp][] = [
  ['its status', ['sh', '-c', 'exit 7'], 7, /^$/],
  ['success', ['true'], 0, /^$/],
  ['128 and the signal that ended it', ['sh', '-c', 'kill -TERM $$'], 143, /^$/],
  [
    '127 where there is no such command',
    ['no-such-command'],
    127,
    /^netloom: Cannot run "no-such-command": there is no such command\n$/,
  ],
  [
    '126 where it cannot be executed',
    ['/etc/hosts'],
    126,
    /^netloom: Cannot run "\/etc\/hosts": it is not executable\n$/,
  ],
];
for (const [title, command, expected, message] of statuses) {
  test.serial(`run and exec pass on ${title}`, (t) => {
    const { netloom, isClean } = start(t);
    netloom.run('sandbox', 'create', '--name', 's1');
    for (const { status, stderr } of [
      netloom.try('run', '--network', 'web', '--', ...command),
      netloom.try('exec', 's1', '--', ...command),
    ]) {
      t.is(status, expected);
      t.regex(stderr, message);
    }
    netloom.run('sandbox', 'rm', 's1');
    isClean();
  });
}

test.serial("options of the command are the command's; stdin and stdout are passed through", (t) => {
  const { netloom, isClean } = start(t);
  const output = execFileSync(NETLOOM, ['run', '--', 'cat', '-n', '-'], {
    env: netloom.environment,
    input: 'one\n',
    encoding: 'utf8',
  });
  t.regex(output, /^\s+1\tone\n$/);
  isClean();
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const) {
  test.serial(
    `${signal} is forwarded, and the sandbox is taken away after the command has ended by itself`,
    async (t) => {
      const { isClean, background } = start(t);
      const script = `trap 'echo caught; exit 5' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`;
      const { child, ended } = await background('--network', 'web', '--', 'sh', '-c', script);
      child.kill(signal);
      const [status] = await ended;
      t.is(status, 5);
      isClean();
    },
  );
}

test.serial('what the command leaves running ends with the sandbox', async (t) => {
  const { isClean, background } = start(t);
  const { line, ended } = await background(
    '--network',
    'web',
    '--',
    'sh',
    '-c',
    'sleep 1000 > /dev/null 2>&1 & echo $!',
  );
  t.deepEqual(await ended, [0, null]);
  t.false(existsSync(`/proc/${line}/ns/net`) && readlinkSync(`/proc/${line}/ns/net`) !== '');
  isClean();
});

test.serial("a terminal stays the command's: its size, its name, and what is typed", (t) => {
  const { lab, netloom, isClean } = start(t);
  const log = join(lab.root, 'typescript');
  const inside = `${NETLOOM} run -- sh -c 'stty size; test -t 0 && test -t 1 && echo terminal; read word; echo got $word'`;
  execFileSync('script', ['-q', '-e', '-c', `stty rows 33 cols 77; ${inside}`, log], {
    env: netloom.environment,
    input: 'hello\n',
  });
  const typed = readFileSync(log, 'utf8');
  t.regex(typed, /33 77\r?\n/);
  t.regex(typed, /terminal\r?\n/);
  t.regex(typed, /got hello\r?\n/);
  rmSync(log);
  isClean();
});

test.serial('what is typed to interrupt reaches the command once, also when its input is no terminal', async (t) => {
  const { lab, netloom, isClean } = start(t);
  const end = join(lab.root, 'end');
  const counting = `trap 'n=$((n+1)); echo caught $n' INT; n=0; echo ready; until [ -e ${end} ]; do sleep 0.05; done; echo end $n`;
  const file = join(lab.root, 'counting.sh');
  writeFileSync(file, counting);
  for (const input of ['', 'true | ']) {
    // The terminal sends SIGINT to both netloom and the command.
    const child = spawn('script', ['-q', '-e', '-c', `${input}${NETLOOM} run -- sh ${file}`, '/dev/null'], {
      env: netloom.environment,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      lines.push(line.replace(/[^ -~]|\^C/g, ''));
      if (line.includes('ready')) child.stdin.write('\u0003');
      if (line.includes('caught')) writeFileSync(end, '');
    }
    t.deepEqual(
      lines.filter((line) => line !== ''),
      ['ready', 'caught 1', 'end 1'],
      input,
    );
    rmSync(end);
  }
  rmSync(file);
  isClean();
});

test.serial('a sandbox stays until it is removed: exec, connect, disconnect, ls and ps', async (t) => {
  const { netloom, isClean } = start(t);
  t.regex(
    netloom.run('sandbox', 'create', '--name', 'box', '--network', 'web'),
    /^sandbox box\nsandbox:box {2}eth0 10.91.0.2\/24 on web\n$/,
  );
  t.regex(netloom.try('sandbox', 'create', '--name', 'box').stderr, /There is a sandbox "box" already/);
  netloom.run('connect', 'db', 'box', '--ifname', 'db0');
  t.regex(netloom.run('exec', 'box', '--', 'ip', '-o', 'link'), /eth0@[\s\S]*db0@|db0@[\s\S]*eth0@/);
  netloom.run('disconnect', 'db', 'sandbox:box');
  t.notRegex(netloom.run('exec', 'box', '--', 'ip', '-o', 'link'), /db0/);
  t.deepEqual(
    netloom
      .run('sandbox', 'ls')
      .split('\n')
      .map((row) => row.split(/ {2,}/))
      .slice(0, 2),
    [
      ['NAME', 'STATE', 'PROCESSES', 'NETWORK', 'PORTS'],
      ['box', 'present', '0', 'web 10.91.0.2/24'],
    ],
  );

  const child = spawn(NETLOOM, ['exec', 'box', '--', 'sh', '-c', 'echo ready; exec sleep 1000'], {
    env: netloom.environment,
  });
  await once(child.stdout, 'data');
  const [row] = netloom.json<{ sandbox: string; pid: number; command: string }[]>('ps');
  t.like(row, { sandbox: 'box', command: 'sleep 1000' });
  t.regex(netloom.run('ps'), new RegExp(`^SANDBOX +PID +COMMAND\nbox +${row?.pid} +sleep 1000\n$`));
  const { status, stderr } = netloom.try('sandbox', 'rm', 'box');
  t.is(status, 1);
  t.regex(
    stderr,
    /Cannot remove the sandbox "box": a process runs in it\n {2}\d+ sleep 1000\n {2}end them first, or use --force/,
  );
  const ended = once(child, 'exit');
  t.deepEqual(netloom.json('sandbox', 'rm', '--force', 'box'), [{ removed: 'box' }]);
  t.is((await ended)[0], 137);
  t.deepEqual(netloom.json('sandbox', 'ls'), []);
  isClean();
});

test.serial(
  'a port of a sandbox is published on the host, by localhost too, and is free again afterwards',
  async (t) => {
    const { lab, netloom, isClean, background } = start(t);
    writeFileSync(join(lab.root, 'index.html'), 'hello from the sandbox');
    const serve = `busybox httpd -f -p 80 -h '${lab.root}' & echo ready; wait`;
    const args = ['--name', 'site', '--network', 'web', '-p', '8080:80', '--', 'sh', '-c', serve];
    const { child, ended } = await background(...args);
    t.is(
      netloom.json<{ endpoints: { ports: Json[] }[] }[]>('sandbox', 'ls')[0]?.endpoints[0]?.ports[0]?.['hostPort'],
      8080,
    );
    t.regex(netloom.run('sandbox', 'ls'), /8080->80\/tcp/);
    // The server may not listen yet.
    const page = (host: string) =>
      execFileSync('sh', ['-c', `until busybox wget -q -O - http://${host}:8080/; do sleep 0.05; done`], {
        encoding: 'utf8',
        timeout: 30_000,
      });
    t.is(page('10.91.0.1'), 'hello from the sandbox');
    t.is(page('127.0.0.1'), 'hello from the sandbox');
    t.regex(netloom.try('run', '--network', 'db', '-p', '8080:80', '--', 'true').stderr, /8080/);
    child.kill('SIGTERM');
    await ended;
    t.is(netloom.try('run', '--network', 'db', '-p', '8080:80', '--', 'true').status, 0);
    rmSync(join(lab.root, 'index.html'));
    isClean();
  },
);

test.serial('a network is not removed under a sandbox', (t) => {
  const { netloom, isClean } = start(t);
  netloom.run('sandbox', 'create', '--name', 'box', '--network', 'web');
  t.regex(netloom.try('network', 'rm', 'web').stderr, /1 interface is attached to it\n {2}"eth0" of "box"/);
  netloom.run('sandbox', 'rm', 'box');
  isClean();
});

test.serial(
  'container:NAME shares the namespace of another, host has that of the host; neither can have another network',
  (t) => {
    const { netloom, isClean } = start(t);
    netloom.run('sandbox', 'create', '--name', 'box', '--network', 'web');
    const link = (...args: string[]) => netloom.run(...args, '--', 'readlink', '/proc/self/ns/net').trim();
    const box = link('exec', 'box');
    t.is(link('run', '--network', 'container:box'), box);
    t.is(link('run', '--network', 'container:sandbox:box'), box);
    t.is(link('run', '--network', 'host'), readlinkSync('/proc/self/ns/net'));
    t.not(link('run', '--network', 'none'), readlinkSync('/proc/self/ns/net'));
    netloom.run('sandbox', 'create', '--name', 'guest', '--network', 'container:box');
    netloom.run('sandbox', 'create', '--name', 'open', '--network', 'host');
    t.is(link('exec', 'guest'), box);
    t.regex(
      netloom.try('connect', 'db', 'guest').stderr,
      /Cannot connect sandbox:guest: it has the network of "box", and cannot have another/,
    );
    t.regex(
      netloom.try('connect', 'db', 'open').stderr,
      /Cannot connect sandbox:open: it has the network of the host, and cannot have another/,
    );
    t.regex(netloom.try('sandbox', 'rm', 'box').stderr, /others share its network\n {2}guest/);
    netloom.run('sandbox', 'rm', 'guest', 'open', 'box');
    isClean();
  },
);

const bad: readonly [title: string, args: readonly string[], status: number, message: RegExp][] = [
  [
    'host and another network',
    ['--network', 'host', '--network', 'web'],
    125,
    /Cannot combine "--network host" with "--network web": the namespace is the host's, and another network would be the host's too/,
  ],
  [
    'container: and another network',
    ['--network', 'web', '--network', 'container:box'],
    125,
    /Cannot combine "--network container:box" with "--network web": the namespace is the other container's/,
  ],
  [
    'none and another network',
    ['--network', 'none', '--network', 'web'],
    125,
    /Cannot combine "--network none" with "--network web": it asks for no network at all/,
  ],
  [
    'ports with host',
    ['--network', 'host', '-p', '80:80'],
    125,
    /Cannot publish ports: with "--network host" every port is the host's already/,
  ],
  [
    'ports without a network',
    ['-p', '80:80'],
    125,
    /Cannot publish ports: without a network there is nothing to publish by/,
  ],
  ['a container that nobody has', ['--network', 'container:nobody'], 125, /There is no sandbox or container "nobody"/],
  ['a network that is not there', ['--network', 'webb'], 125, /There is no network "webb"/],
  [
    'a key that is none',
    ['--network', 'web,color=red'],
    125,
    /"--network web,color=red" has "color=red", expected ip=ADDRESS, mac=MAC or ifname=NAME/,
  ],
  ['an address outside of the network', ['--network', 'web,ip=10.7.7.7'], 125, /10\.7\.7\.7/],
  ['a name that is a path', ['--name', '../x'], 125, /"\.\.\/x" cannot be the name of a sandbox/],
  ['a name server that is none', ['--dns', 'ns1'], 2, /"ns1" is not an IP address/],
  [
    'a host line that is none',
    ['--add-host', 'other'],
    2,
    /"other" is not a line for \/etc\/hosts, expected NAME:ADDRESS/,
  ],
  ['an interface name that is too long', ['--network', 'web,ifname=a23456789012345678'], 125, /a23456789012345678/],
];
for (const [title, args, expected, message] of bad) {
  test.serial(`run refuses ${title}, and leaves nothing`, (t) => {
    const { lab, isClean } = start(t);
    mkdirSync(join(lab.root, 'run/netloom/netns'), { recursive: true });
    const netloom = new Netloom(lab.root, {
      DOCKER_HOST: 'unix:///no',
      CONTAINER_HOST: 'unix:///no',
      CONTAINERD_STATE: '/no',
    });
    const { status, stdout, stderr } = netloom.try('run', ...args, '--', 'echo', 'it runs');
    t.regex(stderr, message);
    t.is(status, expected);
    t.is(stdout, '');
    t.deepEqual(netloom.json('sandbox', 'ls'), []);
    isClean();
  });
}

test.serial('a netloom that is killed leaves a sandbox that gc removes once its command has ended', async (t) => {
  const { netloom, isClean, background } = start(t);
  const { child, line } = await background(
    '--name',
    'left',
    '--network',
    'web',
    '--',
    'sh',
    '-c',
    'echo $$; exec sleep 1000',
  );
  t.teardown(() => spawnSync('kill', ['-KILL', line]));
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  t.is(netloom.run('gc'), '', 'the command still runs');
  t.is(netloom.json<Json[]>('ps').length, 1);
  process.kill(Number(line), 'SIGKILL');
  while (netloom.json<Json[]>('ps').length > 0);
  t.is(netloom.run('gc'), 'sandbox left: removed, its command has ended\n');
  isClean();
});

test.serial('gc removes endpoints whose target has ended, and what plugins know of no attachment', async (t) => {
  const { lab, netloom, isClean } = start(t);
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  netloom.run('connect', 'web', `pid:${child.pid}`);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  // A lease that belongs to no attachment.
  writeFileSync(join(lab.root, 'var/lib/cni/networks/web/10.91.0.99'), 'gone\r\neth0');
  t.is(netloom.run('gc'), `eth0 of pid:${child.pid} on web: removed, its target has ended\n`);
  t.false(existsSync(join(lab.root, 'var/lib/cni/networks/web/10.91.0.99')));
  t.deepEqual(
    netloom.json<Json[]>('gc').map(({ what, did }) => [what, did]),
    [['network db', 'collected'], ['network web', 'collected']], // biome-ignore format: pairs
  );
  isClean();
});

test.serial('restore brings sandboxes and endpoints back after a boot, with the addresses that they had', (t) => {
  const { lab, netloom, isClean } = start(t);
  netloom.run(
    'sandbox',
    'create',
    '--name',
    'first',
    '--network',
    'web',
    '--network',
    'db,ip=10.92.0.50,ifname=db0',
    '--add-host',
    'other:10.9.9.9',
  );
  netloom.run('sandbox', 'create', '--name', 'second', '--network', 'web,mac=02:00:00:00:00:22');
  netloom.run('sandbox', 'create', '--name', 'guest', '--network', 'container:second');
  t.is(netloom.run('restore'), '', 'nothing is missing');
  // What a reboot removes: namespaces, links, rules, and /run.
  for (const name of ['first', 'second', 'guest']) execFileSync('umount', [join(lab.root, 'run/netloom/netns', name)]);
  for (const bridge of ['br-web', 'br-db']) execFileSync('ip', ['link', 'del', bridge]);
  execFileSync('nft', ['flush', 'ruleset']);
  rmSync(join(lab.root, 'run'), { recursive: true });
  t.deepEqual(
    netloom.json<Json[]>('sandbox', 'ls').map(({ name, state }) => [name, state]),
    [
      ['first', 'missing'],
      ['guest', 'missing'],
      ['second', 'missing'],
    ],
  );
  t.deepEqual(netloom.run('restore').trim().split('\n').sort(), [
    'db0 of sandbox:first on db: restored',
    'eth0 of sandbox:first on web: restored',
    'eth0 of sandbox:second on web: restored',
    'sandbox first: restored',
    'sandbox guest: restored',
    'sandbox second: restored',
  ]);
  const first = netloom.run('exec', 'first', '--', 'sh', '-c', 'ip -o addr; cat /etc/hosts; ping -c 1 -w 20 10.91.0.3');
  t.regex(first, /eth0\s+inet 10\.91\.0\.2\/24/);
  t.regex(first, /db0\s+inet 10\.92\.0\.50\/24/);
  t.regex(first, /10\.9\.9\.9\tother/);
  t.regex(first, / 1 received/);
  t.regex(netloom.run('exec', 'guest', '--', 'ip', '-o', 'link'), /02:00:00:00:00:22/);
  t.is(netloom.run('restore'), '');
  netloom.run('sandbox', 'rm', 'guest', 'first', 'second');
  isClean();
});

test.serial('check says what differs from what was made', (t) => {
  const { netloom, isClean } = start(t);
  netloom.run('sandbox', 'create', '--name', 'box', '--network', 'web', '--network', 'db');
  t.is(
    netloom.run('check', 'box'),
    'eth1 of sandbox:box on db: as it was made\neth0 of sandbox:box on web: as it was made\n',
  );
  netloom.run('exec', 'box', '--', 'ip', 'addr', 'flush', 'dev', 'eth0');
  const { status, stdout } = netloom.try('check');
  t.is(status, 1);
  t.regex(stdout, /^eth1 of sandbox:box on db: as it was made\neth0 of sandbox:box on web: failed, .*10\.91\.0\.2/);
  t.regex(netloom.try('check', 'nobody').stderr, /"nobody" is not connected/);
  netloom.run('sandbox', 'rm', 'box');
  isClean();
});

test.serial('restore connects again what was started again, and what cannot be waits', (t) => {
  const { lab, netloom, isClean } = start(t);
  const first = lab.sandbox('c1');
  const target = `netns:${first.path}`;
  netloom.run('connect', 'web', target);
  first[Symbol.dispose]();
  t.regex(netloom.run('restore'), /^eth0 of netns:.* on web: waits, Cannot open the network namespace/);
  const second = lab.sandbox('c1');
  t.is(netloom.run('restore'), `eth0 of ${target} on web: restored\n`);
  t.is(
    second.ip<{ addr_info: { local: string }[] }>('-4', 'addr', 'show', 'eth0')[0]?.addr_info[0]?.local,
    '10.91.0.2',
  );
  netloom.run('disconnect', 'web', target);
  isClean();
});
