/** `netloom network`: docker's options become conflists that any runtime reads. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { plugins } from '../../src/plugins/registry.ts';
import { Netloom } from '../support/command.ts';
import { becomeHost, ip } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';

becomeHost();

interface Conflist {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly (Json & {
    readonly type: string;
    readonly ipam?: { readonly ranges: Json[][]; readonly routes?: Json[] };
  })[];
}

function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  const conf = join(lab.root, 'etc/cni/net.d');
  const read = (name: string) => JSON.parse(readFileSync(join(conf, `${name}.conflist`), 'utf8')) as Conflist;
  /** The first plugin, and its range sets. */
  const create = (name: string, ...args: string[]) => {
    netloom.run('network', 'create', ...args, name);
    const { plugins } = read(name);
    return { main: plugins[0] as Conflist['plugins'][number], plugins, ranges: plugins[0]?.ipam?.ranges.flat() ?? [] };
  };
  return { lab, netloom, conf, read, create };
}

test.serial('create writes a conflist with a bridge of its own and a subnet that nothing uses', (t) => {
  const { netloom, conf, read, create } = start(t);
  t.regex(netloom.run('network', 'create', 'web'), /^network web: bridge 10\.90\.0\.0\/24, in .*web\.conflist\n$/);
  const web = read('web');
  t.is(web.name, 'web');
  t.like(web.plugins[0], {
    type: 'bridge',
    bridge: 'br-web',
    isGateway: true,
    ipMasq: true,
    hairpinMode: true,
    capabilities: { ips: true, mac: true },
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.90.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] },
  });
  t.deepEqual(
    web.plugins.slice(1).map(({ type }) => type),
    ['portmap', 'firewall'].filter((type) => plugins.has(type)),
  );
  t.is(statSync(join(conf, 'web.conflist')).mode & 0o777, 0o644);
  t.deepEqual(readdirSync(conf), ['web.conflist'], 'nothing is left beside it');
  // Another network and a route of the host are in the way of the next two.
  execFileSync('ip', ['route', 'add', '10.90.2.0/23', 'dev', 'lo']);
  t.deepEqual(create('db').ranges, [{ subnet: '10.90.1.0/24' }]);
  t.deepEqual(create('mail').ranges, [{ subnet: '10.90.4.0/24' }]);
  t.is(create('a-name-that-is-long-for-a-link').main['bridge']?.toString().length, 15);
});

test.serial("create takes docker's options", (t) => {
  const { create } = start(t);
  const { main, ranges } = create(
    'full',
    ...['--subnet', '10.20.0.0/24', '--ip-range', '10.20.0.128/25', '--gateway', '10.20.0.254'],
    ...['--subnet=fd20::/64', '-o', 'mtu=1400', '--opt', 'com.docker.network.bridge.name=full0', '-o', 'icc=false'],
  );
  t.deepEqual(ranges, [
    { subnet: '10.20.0.0/24', rangeStart: '10.20.0.128', rangeEnd: '10.20.0.254', gateway: '10.20.0.254' },
    { subnet: 'fd20::/64' },
  ]);
  t.like(main, { mtu: 1400, bridge: 'full0', portIsolation: true });
  t.deepEqual(main.ipam?.routes, [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]);
});

test.serial('an internal network has no gateway, no route and no published ports', (t) => {
  const { create } = start(t);
  const { main, plugins: chain } = create('inner', '--internal');
  t.like(main, { isGateway: false, ipMasq: false });
  t.false('routes' in (main.ipam ?? {}));
  t.deepEqual(
    chain.map(({ type }) => type),
    ['bridge', 'firewall'],
  );
});
test.serial('--ipv6 chooses a subnet of that family too', (t) => {
  const { create } = start(t);
  const [, second] = create('six', '--ipv6').ranges ?? [];
  const subnet = Cidr.parse(String(second?.['subnet']));
  t.true(Cidr.parse('fd00::/8').contains(subnet.ip));
  t.is(subnet.prefix, 64);
  t.deepEqual(create('only-six', '--subnet', 'fd44::/64').ranges, [{ subnet: 'fd44::/64' }]);
});

test.serial('ptp is a driver, too', (t) => {
  const { create } = start(t);
  t.like(create('wire', '--driver', 'ptp', '-o', 'masquerade=false').main, { type: 'ptp', ipMasq: false });
});

for (const driver of ['macvlan', 'ipvlan', 'vlan']) {
  test.serial(`${driver} is made with its options, or refused where this executable has no such plugin`, (t) => {
    const { netloom, create, conf } = start(t);
    execFileSync('ip', ['link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1']);
    execFileSync('ip', ['addr', 'add', '192.168.7.2/24', 'dev', 'up0']);
    execFileSync('ip', ['link', 'set', 'up0', 'up']);
    execFileSync('ip', ['link', 'set', 'up1', 'up']);
    if (!plugins.has(driver)) {
      const { status, stderr } = netloom.try('network', 'create', '-d', driver, 'lan');
      t.is(status, 1);
      t.regex(
        stderr,
        new RegExp(`^netloom: Cannot make a network of the driver "${driver}": this netloom has no plugin`),
      );
      t.false(existsSync(join(conf, 'lan.conflist')));
      return;
    }
    const option = { macvlan: 'macvlan_mode=private', ipvlan: 'ipvlan_mode=l3', vlan: 'vlan=7' }[driver] ?? '';
    t.regex(
      netloom.try('network', 'create', '-d', driver, 'lan').stderr,
      /needs a link of the host\n {2}name it with -o parent=LINK/,
    );
    // The subnet is the parent's, so this is not a clash.
    const { main } = create(
      'lan',
      '-d',
      driver,
      '--subnet',
      '192.168.7.0/24',
      '--gateway',
      '192.168.7.1',
      '-o',
      'parent=up0',
      '-o',
      option,
    );
    t.like(main, { type: driver, master: 'up0' });
    t.like(main, { macvlan: { mode: 'private' }, ipvlan: { mode: 'l3' }, vlan: { vlanId: 7 } }[driver] ?? {});
  });
}

test.serial('a parent that is not there, or cannot be one, is refused with those that can', (t) => {
  const { netloom, conf, create } = start(t);
  const ask = (parent: string, ...more: string[]) =>
    netloom.try('network', 'create', '-d', 'macvlan', '-o', `parent=${parent}`, ...more, 'lan');
  const sh = (script: string) => execFileSync('sh', ['-ec', script]);
  t.is(
    ask('up9').stderr,
    `netloom: "parent" is "up9", expected a link of this host: there is none of that name
  there is no link that can be one; with -o parent_later=true it need not exist yet
`,
  );
  sh('ip link add up0 type veth peer name up1; ip link set up0 up');
  sh('ip link add br0 type bridge; ip link add port0 master br0 type veth peer name port1');
  const { status, stderr } = ask('up9');
  t.is(status, 1);
  t.regex(stderr, /^ {2}there are: [^;]*\bup0, [^;]*; with -o parent_later=true it need not exist yet$/m);
  t.regex(stderr, /\bup1 \(down\)/);
  t.notRegex(stderr, /\bport0|\blo\b/);
  t.regex(ask('lo').stderr, /"parent" is "lo", expected a link of this host: it is the loopback interface\n/);
  t.regex(ask('port0').stderr, /"parent" is "port0", .*: it is a port of a bridge, which takes all of its frames\n/);
  t.regex(ask('up9', '--plan').stderr, /there is none of that name/);
  t.regex(ask('up9', '-o', 'parent_later=yes').stderr, /"parent_later" is "yes", expected true or false/);
  t.false(existsSync(join(conf, 'lan.conflist')));
  // A link that is down now may be up when a container comes.
  t.is(create('lan', '-d', 'macvlan', '-o', 'parent=up1').main['master'], 'up1');
  const { main } = create('later', '-d', 'macvlan', '-o', 'parent=up9', '-o', 'parent_later=true');
  t.is(main['master'], 'up9');
  t.false('parent_later' in main);
  t.regex(netloom.try('network', 'status', 'later').stderr, /Cannot find the master "up9" on the host/);
});

test.serial('an overlay is made with its store, and has a subnet that no other network gets', (t) => {
  const { lab, netloom, create } = start(t);
  const sh = (script: string) => execFileSync('sh', ['-ec', script]);
  sh(
    'ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up; ip addr add 192.168.7.2/24 dev up0',
  );
  const nodes = join(lab.root, 'nodes');
  mkdirSync(nodes);
  const options = [`path=${nodes}`, 'mode=l2', 'node=here', 'underlay=192.168.7.0/24', 'vni=4711', 'wiring=bridge'];
  const { main } = create('far', '-d', 'overlay', ...options.flatMap((option) => ['-o', option]));
  t.like(main, { type: 'overlay', internal: false, vni: 4711, wiring: 'bridge' });
  const subnet = String(main['subnet']);
  t.regex(subnet, /^10\.9\d\.0\.0\/16$/);
  t.deepEqual(main['store'], { type: 'file', path: nodes });
  t.like(netloom.json('network', 'ls'), { 0: { name: 'far', driver: 'overlay', subnets: [subnet] } });
  const first = subnet.slice(0, '10.9x.'.length);
  t.false(String(create('near').ranges[0]?.['subnet']).startsWith(first));
  netloom.run('overlay', 'create', 'far');
  const asked = ['--name', 'web', '--network', 'far', '-p', '8090:80'];
  const made = netloom.json<{ endpoints: { addresses: string[] }[] }>('sandbox', 'create', ...asked);
  const address = made.endpoints[0]?.addresses[0]?.replace(/\/.*/, '') ?? '';
  t.true(address.startsWith(first));
  t.teardown(() => netloom.try('sandbox', 'rm', 'web'));
  t.regex(netloom.run('run', '--network', 'far', '--', 'ping', '-c', '1', '-w', '20', address), / 1 received/);
  t.regex(execFileSync('ip', ['-d', 'link', 'show', 'type', 'vxlan'], { encoding: 'utf8' }), /vxlan id 4711 /);

  const etcd = [
    'etcd=https://192.0.2.1:2379,https://192.0.2.2:2379',
    'ca=/etc/ca.pem',
    'user=me',
    'password_file=/etc/pw',
  ];
  const there = create('there', '-d', 'overlay', '--internal', ...etcd.flatMap((option) => ['-o', option]));
  t.deepEqual(there.main['store'], {
    type: 'etcd',
    endpoints: ['https://192.0.2.1:2379', 'https://192.0.2.2:2379'],
    ca: '/etc/ca.pem',
    user: 'me',
    passwordFile: '/etc/pw',
  });
  t.like(there.main, { internal: true, ipMasq: false });
  t.not(there.main['subnet'], subnet);
});

const bad: readonly [title: string, args: readonly string[], status: number, message: RegExp][] = [
  ['a name with a slash', ['a/b'], 1, /"a\/b" cannot be the name of a network/],
  [
    'a name that is too long',
    ['a'.repeat(161)],
    1,
    /"a{20}…" cannot be the name .* it has 161 characters, expected at most 160/,
  ],
  ['a name with a meaning', ['host'], 1, /"host" cannot be the name of a network: "--network host" has/],
  ['a name that is taken', ['taken'], 1, /There is a network "taken" already, in ".*taken.conflist"/],
  [
    'an overlay without a store',
    ['-d', 'overlay', 'x'],
    1,
    /needs a store that all its hosts reach\n.*-o path=DIRECTORY/,
  ],
  [
    'a wiring that there is not',
    ['-d', 'overlay', '-o', 'path=/a', '-o', 'wiring=ptp', 'x'],
    1,
    /"wiring" is "ptp", expected one of bridge, routed/,
  ],
  [
    'options that the plugin refuses together',
    ['-d', 'overlay', '-o', 'path=/a', '-o', 'mode=l2', '-o', 'wiring=routed', 'x'],
    1,
    /"wiring" is "routed", expected bridge, since "mode" is "l2"/,
  ],
  [
    'an overlay with two',
    ['-d', 'overlay', '-o', 'path=/a', '-o', 'etcd=http://a:1', 'x'],
    1,
    /needs a store that all its hosts reach, and not two/,
  ],
  [
    'a store that is no URL',
    ['-d', 'overlay', '-o', 'etcd=a:1', 'x'],
    1,
    /"etcd" is "a:1", expected URLs such as http:\/\/192\.0\.2\.1:2379/,
  ],
  [
    'an overlay with a gateway',
    ['-d', 'overlay', '-o', 'path=/a', '--gateway', '10.1.0.1', 'x'],
    1,
    /Cannot give --gateway to a network of the driver "overlay": each host has a prefix/,
  ],
  ['a driver that nobody knows', ['-d', 'bridg', 'x'], 2, /Expected "bridg" to be one of/],
  [
    'an option that nobody knows',
    ['-o', 'color=red', 'x'],
    1,
    /The driver "bridge" has no option "color"\n {2}its options are\n {4}bridge +name of the bridge/,
  ],
  ['a slip of the pen', ['-o', 'mtuu=1400', 'x'], 1, /has no option "mtuu", did you mean "mtu"\?\n/],
  ['an option without a value', ['-o', 'mtu', 'x'], 1, /"-o mtu" has no value, expected "-o mtu=VALUE"/],
  ['an MTU that is none', ['-o', 'mtu=big', 'x'], 1, /"mtu" is "big", expected a whole number from 68 to 65535/],
  [
    'a bridge that no link can be called',
    ['-o', 'bridge=a/b', 'x'],
    1,
    /"bridge" is "a\/b", expected the name of a link/,
  ],
  [
    'a bridge of another network',
    ['-o', 'bridge=br-taken', 'x'],
    1,
    /Cannot use the bridge "br-taken": it belongs to the network "taken"/,
  ],
  ['a subnet that is none', ['--subnet', '10.1.0.0', 'x'], 2, /"10.1.0.0" is not an address with a prefix/],
  [
    'a subnet with host bits',
    ['--subnet', '10.1.0.5/24', 'x'],
    1,
    /"--subnet 10.1.0.5\/24" has host bits, expected 10.1.0.0\/24/,
  ],
  ['two subnets of a family', ['--subnet', '10.1.0.0/24', '--subnet', '10.2.0.0/24', 'x'], 1, /is the second of IPv4/],
  [
    'a subnet of another network',
    ['--subnet', '10.33.0.0/16', 'x'],
    1,
    /Cannot use the subnet 10.33.0.0\/16: it overlaps with 10.33.3.0\/24, the network "taken"/,
  ],
  [
    'a subnet that a route leads to',
    ['--subnet', '10.44.0.0/24', 'x'],
    1,
    /Cannot use the subnet 10.44.0.0\/24: it is the subnet of a route by "lo"/,
  ],
  [
    'a gateway outside',
    ['--subnet', '10.1.0.0/24', '--gateway', '10.2.0.1', 'x'],
    1,
    /"--gateway" has 10.2.0.1, expected an address of 10.1.0.0\/24/,
  ],
  [
    'a range outside',
    ['--subnet', '10.1.0.0/24', '--ip-range', '10.1.1.0/25', 'x'],
    1,
    /"--ip-range" has 10.1.1.0, expected/,
  ],
];
for (const [title, args, expected, message] of bad) {
  test.serial(`create refuses ${title}`, (t) => {
    const { netloom, conf } = start(t);
    netloom.run('network', 'create', '--subnet', '10.33.3.0/24', 'taken');
    execFileSync('ip', ['route', 'replace', '10.44.0.0/24', 'dev', 'lo']);
    const { status, stdout, stderr } = netloom.try('network', 'create', ...args);
    t.regex(stderr, message);
    t.is(status, expected);
    t.is(stdout, '');
    t.deepEqual(readdirSync(conf), ['taken.conflist']);
  });
}

test.serial('every conflist is a network, whoever wrote it; what is broken is told of', (t) => {
  const { netloom, conf } = start(t);
  t.is(netloom.run('network', 'ls'), 'NAME  DRIVER  SUBNETS  ATTACHED  FILE\n');
  mkdirSync(conf, { recursive: true });
  writeFileSync(
    join(conf, '10-old.conf'),
    '{"cniVersion":"0.4.0","name":"old","type":"ptp","ipam":{"type":"host-local","subnet":"10.5.0.0/16"}}',
  );
  writeFileSync(join(conf, '20-broken.conflist'), '{');
  const { stdout, stderr } = netloom.try('network', 'ls');
  t.deepEqual(stdout.split('\n')[1]?.split(/ +/), ['old', 'ptp', '10.5.0.0/16', '0', join(conf, '10-old.conf')]);
  t.regex(stderr, /^netloom: passed over ".*20-broken.conflist": Cannot read the network/);
  t.deepEqual(netloom.json('network', 'ls'), [
    {
      name: 'old',
      driver: 'ptp',
      plugins: ['ptp'],
      subnets: ['10.5.0.0/16'],
      attached: [],
      file: join(conf, '10-old.conf'),
    },
  ]);
  t.like((JSON.parse(netloom.run('network', 'inspect', 'old')) as Json[])[0], {
    name: 'old',
    conflist: { type: 'ptp' },
  });
  t.regex(netloom.try('network', 'inspect', 'new').stderr, /There is no network "new" in ".*"\n.*\n {2}there are: old/);
  t.regex(netloom.run('network', 'create', '--subnet', '10.6.0.0/16', '--json', 'web'), /"driver": "bridge"/);
  t.is(netloom.run('network', 'status', 'web'), 'web is ready\n');
  t.deepEqual(netloom.json('network', 'inspect', 'web'), JSON.parse(netloom.run('network', 'inspect', 'web')));
  t.deepEqual(netloom.json('network', 'status', 'web'), { name: 'web', ready: true });
  t.regex(netloom.try('network', 'status', 'old').stderr, /does not support STATUS/);
});

test.serial('an attachment that cannot be read is told of once, however many networks there are', (t) => {
  const { lab, netloom } = start(t);
  for (const name of ['one', 'two', 'three']) netloom.run('network', 'create', name);
  const results = join(lab.root, 'var/lib/cni/results');
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, 'one-c1-eth0'), '{ "kind": "cniCa');
  const { stdout, stderr } = netloom.try('network', 'ls');
  t.is(stdout.trim().split('\n').length, 4);
  t.regex(stderr, /^netloom: Cannot read the attachment of ".*one-c1-eth0": [^\n]*\n$/);
});

test.serial('what is attached by any runtime is listed, and rm refuses until it is gone; then nothing is left', (t) => {
  const { lab, netloom, conf } = start(t);
  const before = lab.snapshot();
  netloom.run('network', 'create', 'web');
  const conflist = JSON.parse(readFileSync(join(conf, 'web.conflist'), 'utf8')) as Conflist;
  const sandbox = lab.sandbox('c1');
  const net = { ...conflist.plugins[0], cniVersion: '1.0.0', name: 'web' };
  const result = lab.add(net, { sandbox });
  // As libcni writes it.
  const results = join(lab.root, 'var/lib/cni/results');
  mkdirSync(results, { recursive: true });
  writeFileSync(
    join(results, 'web-c1-eth0'),
    JSON.stringify({
      kind: 'cniCacheV1',
      containerId: 'c1',
      config: Buffer.from(JSON.stringify(conflist)).toString('base64'),
      ifName: 'eth0',
      networkName: 'web',
      netns: sandbox.path,
      result,
    }),
  );
  t.like(netloom.json<Json[]>('network', 'ls')[0], {
    attached: [{ container: 'c1', ifname: 'eth0', addresses: ['10.90.0.2/24'] }],
  });
  const { status, stderr } = netloom.try('network', 'rm', 'web');
  t.is(status, 1);
  t.regex(stderr, /Cannot remove the network "web": 1 interface is attached to it\n {2}"eth0" of "c1"\n {2}disconnect/);
  lab.del({ ...net, prevResult: result }, { sandbox });
  execFileSync('rm', [join(results, 'web-c1-eth0')]);
  t.true(ip('link').some(({ ifname }) => ifname === 'br-web'));
  t.is(netloom.run('network', 'remove', 'web'), 'removed web\n');
  t.is(lab.snapshot(), before);
  t.deepEqual(readdirSync(join(lab.root, 'var/lib/cni/networks')), []);
  t.regex(netloom.try('network', 'rm', 'web').stderr, /There is no network "web"/);
});

test.serial('rm goes on where a plugin of the network is not installed, and says so', (t) => {
  const { netloom, conf } = start(t);
  mkdirSync(conf, { recursive: true });
  writeFileSync(
    join(conf, 'odd.conflist'),
    '{"cniVersion":"1.1.0","name":"odd","plugins":[{"type":"bridge"},{"type":"odd-one"}]}',
  );
  const { status, stdout, stderr } = netloom.try('network', 'rm', 'odd', '--json');
  t.is(status, 0);
  t.deepEqual(JSON.parse(stdout), [{ removed: 'odd' }]);
  t.regex(stderr, /failed to find plugin "odd-one"/);
  t.deepEqual(readdirSync(conf), []);
});

test.serial('a bridge that something else is plugged into stays when its network goes', (t) => {
  const { netloom } = start(t);
  netloom.run('network', 'create', 'web');
  execFileSync('ip', ['link', 'add', 'br-web', 'type', 'bridge']);
  execFileSync('ip', ['link', 'add', 'port0', 'master', 'br-web', 'type', 'veth', 'peer', 'name', 'port1']);
  netloom.run('network', 'rm', 'web');
  t.true(ip('link').some(({ ifname }) => ifname === 'br-web'));
});
