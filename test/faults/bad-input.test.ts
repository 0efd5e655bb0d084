/**
 * Bad calls. Each one gets an error object with the right code on stdout and exit status 1, and changes nothing in the
 * kernel or on disk.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { becomeHost, type Sandbox } from '../support/host.ts';
import { bridgeConf, type ExecOptions, type Json, Lab, type Target } from '../support/lab.ts';

becomeHost();

interface BadCall {
  readonly title: string;
  readonly code: number;
  /** What the message must name. */
  readonly says: RegExp;
  readonly conf?: Json;
  readonly command?: string;
  readonly target?: Target;
  readonly options?: ExecOptions | ((lab: Lab) => ExecOptions);
  readonly prepare?: (lab: Lab, sandbox: Sandbox) => void;
}

const hostLocal = (more: Json) => ({ ipam: { type: 'host-local', ...more } });
const range = (more: Json) => hostLocal({ ranges: [[{ subnet: '10.1.0.0/24', ...more }]] });
const without = (name: string): BadCall => ({
  title: `${name} is missing`,
  code: 4,
  says: new RegExp(`required env variables \\[${name}\\] missing`),
  options: { environment: { [name]: undefined } },
});
const wrong = (conf: Json, says: RegExp, code = 7): BadCall => ({ title: JSON.stringify(conf), code, says, conf });
const variable = (name: string, value: string, says: RegExp, code = 4): BadCall => ({
  title: `${name} is ${JSON.stringify(value)}`,
  code,
  says,
  options: { environment: { [name]: value } },
});

const calls: readonly BadCall[] = [
  // stdin
  { title: 'stdin is empty', code: 6, says: /unexpected end of JSON input/, options: { stdin: '' } },
  {
    title: 'stdin is not JSON',
    code: 6,
    says: /double quotes in line 1, column 16, not the end/,
    options: { stdin: '{"name": "net",' },
  },
  {
    title: 'stdin is not UTF-8',
    code: 6,
    says: /expected a value in line 1, column 1, not "\uFFFD"/,
    options: { stdin: Uint8Array.of(0xff, 0xfe, 0x00) },
  },
  { title: 'stdin is a list', code: 6, says: /is \[\], expected an object/, options: { stdin: '[]' } },
  { title: 'stdin is null', code: 6, says: /expected an object/, options: { stdin: 'null' } },
  // versions and names
  wrong({ cniVersion: '9.9.9' }, /incompatible CNI versions/, 1),
  wrong({ cniVersion: 1 }, /"cniVersion" is 1, expected a string/, 6),
  wrong({ name: '' }, /missing network name/),
  wrong({ name: '../net' }, /invalid characters found in network name/),
  wrong({ name: 5 }, /"name" is 5, expected a string/, 6),
  // types, key by key
  ...[
    'isGateway',
    'isDefaultGateway',
    'forceAddress',
    'ipMasq',
    'hairpinMode',
    'promiscMode',
    'preserveDefaultVlan',
    'macspoofchk',
    'enabledad',
    'disableContainerInterface',
    'portIsolation',
  ].map((key) => wrong({ [key]: 'true' }, new RegExp(`"${key}" is "true", expected true or false`))),
  wrong({ bridge: 5 }, /"bridge" is 5, expected the name of an interface/),
  wrong({ bridge: 'a/b' }, /"bridge" is "a\/b", expected the name of an interface/),
  ...['eth%d', 'all', 'default', '..'].map((bridge) =>
    wrong({ bridge }, new RegExp(`"bridge" is "${bridge}", expected`)),
  ),
  wrong({ bridge: 'a-name-of-16-byt' }, /"bridge" is "a-name-of-16-byt"/),
  wrong({ ipMasqBackend: 1 }, /"ipMasqBackend" is 1, expected a string/),
  wrong({ ipam: 'host-local' }, /"ipam" is "host-local", expected an object/),
  wrong({ ipam: { type: 7 } }, /"ipam.type" is 7, expected a string/),
  wrong({ ipam: { type: '../../bin/sh' } }, /invalid plugin name/),
  wrong({ ipam: { type: 'no-such-ipam' } }, /failed to find plugin "no-such-ipam" in path/, 108),
  wrong({ dns: [] }, /"dns" is \[\], expected an object/),
  wrong({ runtimeConfig: { mac: 5 } }, /"runtimeConfig.mac" is 5/),
  wrong({ args: { cni: 5 } }, /"args.cni" is 5/),
  wrong({ vlan: '100' }, /"vlan" is "100", expected a number/),
  wrong({ vlan: 5000 }, /invalid VLAN ID 5000 \(must be between 0 and 4094\)/),
  wrong({ vlan: -1 }, /invalid VLAN ID -1/),
  wrong({ vlanTrunk: {} }, /"vlanTrunk" is \{\}, expected a list/),
  wrong({ vlanTrunk: [{ id: 4095 }] }, /"vlanTrunk\[0\].id" is 4095/),
  wrong({ vlanTrunk: [{ minID: 5 }] }, /maxID is missing/),
  wrong({ vlanTrunk: [{ minID: 5, maxID: 4 }] }, /minID 5 is greater than maxID 4/),
  wrong({ vlan: 100, vlanTrunk: [{ id: 5 }] }, /cannot set vlan and vlanTrunk at the same time/),
  wrong({ hairpinMode: true, promiscMode: true }, /cannot set hairpin mode and promiscuous mode at the same time/),
  // MTU
  ...[1, 67, 65536, -1, 1.5, '1500', null].flatMap((mtu) =>
    mtu === null ? [] : [wrong({ mtu }, new RegExp(`"mtu" is ${JSON.stringify(mtu).replace('.', '\\.')}, expected`))],
  ),
  // MAC
  ...['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', '02:00', 'x'].flatMap((mac) => [
    wrong({ runtimeConfig: { mac } }, /"runtimeConfig.mac" is ".*", expected the MAC of one station/),
    wrong({ args: { cni: { mac } } }, /"args.cni.mac" is/),
    variable('CNI_ARGS', `MAC=${mac};IgnoreUnknown=1`, /"CNI_ARGS: MAC" is/, 7),
  ]),
  // ranges
  wrong(hostLocal({}), /no IP ranges specified/),
  wrong(hostLocal({ ranges: [[{ subnet: '10.1.0.0' }]] }), /"ipam.ranges\[0\]\[0\].subnet" is "10.1.0.0"/),
  wrong(hostLocal({ ranges: [[{ subnet: '10.1.0.5/24' }]] }), /Network has host bits set/),
  wrong(hostLocal({ ranges: [[{ subnet: '10.1.0.0/31' }]] }), /too small to allocate from/),
  wrong(hostLocal({ ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: '10.1.0.0/25' }]] }), /overlap/),
  wrong(
    hostLocal({ ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '10.1.0.128/25' }]] }),
    /range set 0 overlaps with 1/,
  ),
  wrong(hostLocal({ ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: 'fd00::/64' }]] }), /mixed address families/),
  wrong(range({ gateway: '10.2.0.1' }), /gateway 10.2.0.1 not in network 10.1.0.0\/24/),
  wrong(range({ rangeStart: '10.2.0.1' }), /RangeStart 10.2.0.1 not in network/),
  wrong(range({ rangeStart: '10.1.0.9', rangeEnd: '10.1.0.5' }), /RangeStart 10.1.0.9/),
  wrong(
    { ipam: { type: 'static', addresses: [{ address: '10.1.0.5/24', gateway: '10.2.0.1' }] } },
    /gateway 10.2.0.1: it is outside/,
  ),
  ...[-1, 1.5, 2 ** 32].flatMap((value) => [
    wrong(
      hostLocal({ subnet: '10.1.0.0/24', routes: [{ dst: '0.0.0.0/0', table: value }] }),
      /routes\[0\].table" is .*, expected a whole number from 0 to 4294967295/,
    ),
    wrong(
      hostLocal({ subnet: '10.1.0.0/24', routes: [{ dst: '0.0.0.0/0', priority: value }] }),
      /routes\[0\].priority" is .*, expected/,
    ),
  ]),
  {
    title: 'the subnet is full',
    code: 101,
    says: /no IP addresses available in range set: 10.3.0.1-10.3.0.2/,
    conf: hostLocal({ ranges: [[{ subnet: '10.3.0.0/30' }]] }),
    prepare: (lab) =>
      lab.add(bridgeConf({ bridge: 'full0', ...hostLocal({ ranges: [[{ subnet: '10.3.0.0/30' }]] }) }), {
        sandbox: lab.sandbox('first'),
      }),
  },
  {
    title: 'the address asked for is taken',
    code: 102,
    says: /requested IP address 10.1.0.2 is not available/,
    conf: { args: { cni: { ips: ['10.1.0.2'] } } },
    prepare: (lab) => lab.add(bridgeConf(), { sandbox: lab.sandbox('first') }),
  },
  {
    title: 'the address asked for is outside',
    code: 7,
    says: /failed to allocate all requested IPs: 10.9.0.2/,
    conf: { runtimeConfig: { ips: ['10.9.0.2'] } },
  },
  // environment
  without('CNI_CONTAINERID'),
  without('CNI_NETNS'),
  without('CNI_IFNAME'),
  without('CNI_PATH'),
  {
    ...without('CNI_NETNS'),
    title: 'several are missing',
    says: /\[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH\]/,
    options: {
      environment: { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined, CNI_PATH: undefined },
    },
  },
  variable('CNI_COMMAND', 'FROBNICATE', /FROBNICATE/),
  ...['a/b', '../x', '-x', 'a b', 'ä'].map((id) =>
    variable('CNI_CONTAINERID', id, /invalid characters in CNI_CONTAINERID/),
  ),
  ...['a-name-of-16-byt', 'a/b', 'a:b', 'a b', 'a\tb', '.', '..', 'äääääääää', 'eth%d', '%s', 'all', 'default'].map(
    (name) => variable('CNI_IFNAME', name, /CNI_IFNAME .* cannot be an interface's name/),
  ),
  ...['K', 'K=V=W', 'NOPE=1', 'IgnoreUnknown=perhaps'].map((args) => variable('CNI_ARGS', args, /ARGS/)),
  // the namespace
  variable('CNI_NETNS', '/nonexistent/ns', /there is no such file/, 8),
  variable('CNI_NETNS', '/etc/hostname', /something else/, 8),
  variable('CNI_NETNS', '/proc/self/ns/uts', /something else/, 8),
  variable('CNI_NETNS', '/proc/self/ns/net', /the network namespace that the plugin itself runs in/, 8),
  {
    title: 'the ifname is in use',
    code: 111,
    says: /has an interface of that name already/,
    prepare: (_lab, sandbox) => sandbox.run('ip', 'link', 'add', 'eth0', 'type', 'bridge'),
  },
  { title: 'the ifname is lo', code: 111, says: /has an interface of that name already/, target: { ifname: 'lo' } },
  // what is in the way on the host
  {
    title: 'the bridge is another kind of link',
    code: 111,
    says: /^"cni0" already exists but is not a bridge$/,
    prepare: () => execFileSync('ip', ['link', 'add', 'cni0', 'type', 'veth']),
  },
  {
    title: 'the directory of host-local is a file',
    code: 100,
    says: /ENOTDIR/,
    prepare: (lab) => {
      mkdirSync(`${lab.root}/var/lib/cni`, { recursive: true });
      writeFileSync(`${lab.root}/var/lib/cni/networks`, '');
    },
  },
  {
    title: 'no root: an ordinary user',
    code: 104,
    says: /needs to be root/,
    options: { wrap: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] },
  },
  {
    title: 'no root: root without CAP_NET_ADMIN and CAP_SYS_ADMIN',
    code: 104,
    says: /EPERM/,
    options: { wrap: ['setpriv', '--bounding-set=-net_admin,-sys_admin', '--inh-caps=-net_admin,-sys_admin'] },
  },
  // other commands
  { title: 'GC without attachments', command: 'GC', code: 7, says: /"cni.dev\/valid-attachments" is missing/ },
  { title: 'CHECK without prevResult', command: 'CHECK', code: 7, says: /"prevResult" is missing/ },
  {
    title: 'CHECK of a version that has none',
    command: 'CHECK',
    code: 1,
    says: /does not allow CHECK/,
    conf: { cniVersion: '0.3.1' },
  },
  {
    title: 'GC of a version that has none',
    command: 'GC',
    code: 1,
    says: /does not allow GC/,
    conf: { cniVersion: '1.0.0' },
  },
  {
    title: 'a prevResult of wrong types',
    code: 7,
    says: /"prevResult.ips/,
    command: 'CHECK',
    conf: { prevResult: { cniVersion: '1.1.0', ips: [{ address: 5 }] } },
  },
];

for (const { title, code, says, conf = {}, command = 'ADD', target = {}, options = {}, prepare } of calls) {
  test.serial(`${command}, ${title}: code ${code}, and nothing changes`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    prepare?.(lab, sandbox);
    const state = () => [lab.snapshot(), sandbox.run('ip', '-d', '-o', 'addr'), paths(lab), forwarding()].join('\n');
    const before = state();
    const end = lab.exec(
      command,
      bridgeConf(conf),
      { sandbox, ...target },
      typeof options === 'function' ? options(lab) : options,
    );
    t.is(end.status, 1, end.stdout);
    t.is(end.output.code, code, end.stdout);
    t.regex(end.output.msg ?? '', says);
    t.notRegex(end.stderr, /\n\s+at /);
    t.is(state(), before);
  });
}

test.serial('ADD on a full disk: code 107 names the file, and nothing changes', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const disk = `${lab.root}/disk`;
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k,nr_inodes=9', 'tmpfs', disk]);
  t.teardown(() => execFileSync('umount', [disk]));
  writeFileSync(`${disk}/ballast`, 'x'.repeat(4096));
  const before = [lab.snapshot(), sandbox.run('ip', '-d', '-o', 'addr')].join('\n');
  const conf = bridgeConf(hostLocal({ ranges: [[{ subnet: '10.1.0.0/24' }]], dataDir: `${disk}/networks` }));
  const { status, output } = lab.exec('ADD', conf, { sandbox });
  t.is(status, 1);
  t.is(output.code, 107, output.msg);
  t.true(output.msg?.includes(`"${disk}/networks/net/`), output.msg);
  t.is([lab.snapshot(), sandbox.run('ip', '-d', '-o', 'addr')].join('\n'), before);
  t.is(lab.exec('DEL', conf, { sandbox }).status, 0);
});

test.serial('ADD on a read-only file system: code 107 names it, and nothing changes', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const disk = `${lab.root}/disk`;
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', disk]);
  t.teardown(() => execFileSync('umount', [disk]));
  const before = lab.snapshot();
  const conf = bridgeConf(hostLocal({ ranges: [[{ subnet: '10.1.0.0/24' }]], dataDir: `${disk}/networks` }));
  const { status, output } = lab.exec('ADD', conf, { sandbox });
  t.is(status, 1);
  t.is(output.code, 107, output.msg);
  t.true(output.msg?.includes(disk), output.msg);
  t.is(lab.snapshot(), before);
  t.is(lab.exec('DEL', conf, { sandbox }).status, 0);
});

test.serial('a damaged lease file is named on stderr, stays as it is, and its address is given to nobody', (t) => {
  const lab = new Lab(t);
  const directory = `${lab.root}/var/lib/cni/networks/net`;
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/10.1.0.2`, '\0\0\0 not a lease');
  const { output, stderr, status } = lab.exec('ADD', bridgeConf(), { sandbox: lab.sandbox('c1') });
  t.is(status, 0);
  t.is(output.ips?.[0]?.address, '10.1.0.3/24');
  t.true(stderr.includes(`"${directory}/10.1.0.2"`), stderr);
  t.is(readFileSync(`${directory}/10.1.0.2`, 'utf8'), '\0\0\0 not a lease');
});

test.serial('VERSION needs no configuration, and no command tells what this is', (t) => {
  const lab = new Lab(t);
  const version = lab.exec('VERSION', { type: 'bridge' }, {}, { stdin: '' });
  t.is(version.status, 0);
  t.deepEqual(JSON.parse(version.stdout), {
    cniVersion: '1.1.0',
    supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
  });
  const about = lab.exec('', { type: 'bridge' }, {}, { stdin: '' });
  t.is(about.status, 0);
  t.is(about.stdout, '');
  t.regex(about.stderr, /^CNI bridge plugin/);
});

/** Every path below the root, except bookkeeping files such as locks. */
function paths(lab: Lab): string {
  return readdirSync(lab.root, { recursive: true, encoding: 'utf8' })
    .filter(
      (path) =>
        !/(^|\/)(lock|last_reserved_ip\.\d+|\.stamp)$|^(var|run)$|\/(lib|cni|netloom|networks|leases|attachments)$|networks(%2F|\/)[^/]*$/.test(
          path,
        ),
    )
    .sort()
    .join('\n');
}

function forwarding(): string {
  return ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']
    .map((key) => readFileSync(`/proc/sys/net/${key}`, 'utf8'))
    .join();
}
