/** `netloom doctor` finds each fault with its evidence, mends those that it can, and leaves a healthy host alone. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { distance } from '../../src/distance.ts';
import { pinNew } from '../../src/netns/pin.ts';
import { Netloom } from '../support/command.ts';
import { becomeHost, ip } from '../support/host.ts';
import { Lab } from '../support/lab.ts';

becomeHost();

interface Finding {
  readonly check: string;
  readonly what: string;
  readonly evidence: string;
  readonly effect: string;
  readonly mend: string;
  readonly fixed: boolean;
}

function sh(command: string): void {
  execFileSync('sh', ['-ec', command], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Two networks and a sandbox on both, on a host with an uplink. */
function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  sh(`ip link add up0 type veth peer name up1; ip addr add 192.168.66.2/24 dev up0; ip link set up0 up; ip link set up1 up
    ip route add default via 192.168.66.1`);
  netloom.run('network', 'create', '--subnet', '10.66.0.0/24', 'demo');
  netloom.run('network', 'create', '--subnet', '10.66.1.0/24', '--internal', 'inner');
  netloom.run('sandbox', 'create', '--name', 'web', '--network', 'demo', '--network', 'inner');
  t.teardown(() => netloom.try('sandbox', 'rm', '--force', 'web'));
  const examine = (...args: string[]) => {
    const { status, stdout, stderr } = netloom.try('doctor', '--json', ...args);
    t.is(stderr, '');
    return { status, findings: JSON.parse(stdout) as Finding[] };
  };
  return { lab, netloom, examine, conflist: join(lab.root, 'etc/cni/net.d/demo.conflist') };
}

test.serial('a healthy host is left as it is, and nothing is said against it', (t) => {
  // The drop policy of iptables does not matter: the network has the firewall plugin.
  sh('iptables-nft -P FORWARD DROP');
  const { lab, netloom, examine } = start(t);
  const before = lab.snapshot();
  t.deepEqual(examine(), { status: 0, findings: [] });
  t.is(netloom.run('doctor', '--fix'), 'No faults found\n');
  t.is(lab.snapshot(), before);
});

test.serial('what is left of attachments that nobody remembers is found, and removed where nobody uses it', (t) => {
  const { lab, netloom, examine } = start(t);
  const before = lab.snapshot();
  const leases = join(lab.root, 'var/lib/cni/networks/demo');
  const busy = lab.sandbox('busy');
  sh(`ip link add leak0 type bridge; ip link set leak0 alias netloom:demo/gone/eth0
    ip link add leak1 type veth peer name eth0 netns ${busy.path}; ip link set leak1 alias netloom:demo/by-hand/eth0
    nft add element inet netloom masquerade4 '{ 10.66.0.98 comment "demo/gone/eth0" : jump masq-10.66.0.0/24 }'`);
  writeFileSync(join(leases, '10.66.0.99'), 'gone\r\neth0');
  const { status, findings } = examine();
  t.is(status, 1);
  t.deepEqual(
    findings.map(({ check, evidence }) => [
      check,
      /leak\d|"demo\/\S+"|"gone"|by-hand|10\.66\.0\.\d+/.exec(evidence)?.[0],
    ]),
    [
      ['leaked-link', undefined],
      ['leaked-link', 'by-hand'],
      ['leaked-lease', '10.66.0.99'],
      ['leaked-element', '10.66.0.98'],
    ],
  );
  const fixed = examine('--fix');
  t.is(fixed.status, 1);
  t.deepEqual(
    fixed.findings.filter((each) => !each.fixed).map(({ what }) => what),
    ['The link "leak1" belongs to an attachment that no runtime remembers'],
  );
  t.deepEqual(examine().findings.length, 1, 'a wire that leads somewhere is for a person to judge');
  sh('ip link del leak1');
  t.deepEqual(examine().findings, []);
  t.is(lab.snapshot(), before);
  t.is(netloom.run('doctor'), 'No faults found\n');
});

test.serial('what an attachment has lost is found, and a route is put back', (t) => {
  const { netloom, examine } = start(t);
  netloom.run('exec', 'web', '--', 'ip', 'route', 'del', 'default');
  t.like(examine().findings, [
    { check: 'missing-route', mend: 'in the container: ip route add default via 10.66.0.1 dev eth0' },
  ]);
  t.like(examine('--fix'), { status: 0, findings: [{ fixed: true }] });
  t.regex(netloom.run('exec', 'web', '--', 'ip', 'route'), /^default via 10\.66\.0\.1 dev eth0/m);
  t.deepEqual(examine().findings, []);
  sh("nft delete element inet netloom masquerade4 '{ 10.66.0.2 }'");
  const { status, findings } = examine('--fix');
  t.is(status, 1);
  t.like(findings, [{ check: 'drift', fixed: false }]);
  t.regex(findings[0]?.evidence ?? '', /masquerade/);
});

test.serial('what keeps packets back is found: forwarding, a firewall, an MTU, a reverse path filter', (t) => {
  const { netloom, examine, conflist } = start(t);
  sh(`sysctl -qw net.ipv4.ip_forward=0; ip link set up0 mtu 1400
    nft 'add table inet fw; add chain inet fw forward { type filter hook forward priority 0; policy drop; }'`);
  netloom.run('exec', 'web', '--', 'sysctl', '-qw', 'net.ipv4.conf.eth1.rp_filter=1');
  t.like(examine().findings, [
    { check: 'forwarding', evidence: 'net/ipv4/ip_forward is 0, and containers are attached to "demo"' },
    { check: 'other-firewall', evidence: 'the chain "inet fw forward" drops what none of its rules accepts' },
    { check: 'reverse-path', what: '"eth1" of "web" drops what comes from beyond its subnet' },
  ]);
  const { findings } = examine('--fix');
  t.deepEqual(
    findings.map(({ check, fixed }) => [check, fixed]),
    [
      ['forwarding', true],
      ['other-firewall', false],
      ['reverse-path', true],
    ],
  );
  t.is(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1');
  // Forwarding is on by now, so the MTU of the uplink matters.
  t.like(examine().findings, [
    { check: 'other-firewall' },
    { check: 'mtu', evidence: 'mtu 1500, and mtu 1400 on the way out' },
  ]);
  const text = netloom.try('doctor').stdout;
  t.regex(
    text,
    /^"eth0" of "web" sends packets that "up0" cannot carry\n {2}evidence: .*\n {2}effect: .*\n {2}fix: set "mtu": 1400 in the conflist of "demo", /m,
  );
  // iptables' own chain is different: the firewall plugin lets containers through, if the network has it and the chain
  // existed first.
  sh('nft delete table inet fw; ip link set up0 mtu 1500; iptables-nft -P FORWARD DROP');
  t.deepEqual(
    examine().findings.map(({ check, evidence }) => [check, evidence.includes('the chain FORWARD of iptables')]),
    [
      ['drift', true],
      ['drift', true],
    ],
  );
  sh('iptables-legacy -P FORWARD DROP');
  t.like(
    examine().findings.filter(({ check }) => check === 'other-firewall'),
    [
      {
        what: 'The legacy iptables drops what containers of "demo" send beyond the host by IPv4',
        mend: 'run iptables-legacy -I FORWARD -m mark --mark 0x1000/0x1000 -j ACCEPT, at each boot, or use iptables-nft in place of iptables-legacy',
      },
    ],
  );
  sh('iptables-legacy -P FORWARD ACCEPT');
  const list = JSON.parse(readFileSync(conflist, 'utf8')) as { plugins: { type: string }[] };
  writeFileSync(conflist, JSON.stringify({ ...list, plugins: list.plugins.filter(({ type }) => type !== 'firewall') }));
  const { mend } = examine().findings.find(({ check }) => check === 'other-firewall') ?? {};
  t.is(mend, `add {"type": "firewall"} to the plugins of "${conflist}", and attach the containers again`);
});

test.serial('slips of the pen in conflists are found, and files that are none', (t) => {
  const { lab, examine, conflist } = start(t);
  const list = JSON.parse(readFileSync(conflist, 'utf8')) as { plugins: Record<string, unknown>[] };
  Object.assign(list.plugins[0] ?? {}, {
    isGatway: true,
    promiscmode: false,
    'my-own-note': 1,
    ipam: { ...(list.plugins[0]?.['ipam'] as object), rangs: [] },
  });
  writeFileSync(conflist, JSON.stringify(list).replace('{', '{"disableCheck": true, "disableCheck": false, '));
  const nameless = {
    cniVersion: '1.1.0',
    name: 'nameless',
    plugins: [{ type: 'bridge', ipam: { subnet: '10.67.0.0/24' } }],
  };
  writeFileSync(join(lab.root, 'etc/cni/net.d/nameless.conflist'), JSON.stringify(nameless));
  const without = { ...nameless, name: 'without', plugins: [{ type: 'bridge', ipam: {} }] };
  writeFileSync(join(lab.root, 'etc/cni/net.d/without.conflist'), JSON.stringify(without));
  const broken = join(lab.root, 'etc/cni/net.d/broken.conflist');
  writeFileSync(broken, '{');
  const { findings } = examine('--fix');
  t.deepEqual(
    findings.map(({ check, evidence }) => [check, check === 'typo' ? evidence : '']),
    [
      ['conflist', ''],
      ['typo', 'as true and as false'],
      ['typo', 'the plugin "bridge" has no such key, and has "isGateway"'],
      ['typo', 'the plugin "bridge" has no such key, and has "ipam.ranges"'],
      ['typo', 'it has "subnet"'],
    ],
  );
  rmSync(broken);
});

test.serial('what ends an attachment whose namespace is gone is told by who has made it', (t) => {
  const { lab, netloom, examine } = start(t);
  const pin = join(lab.root, 'gone');
  pinNew(pin);
  netloom.run('connect', 'demo', `netns:${pin}`);
  sh(`umount ${pin}; rm ${pin}`);
  const mends = () => examine().findings.map(({ check, mend }) => [check, mend]);
  t.is(examine().findings[0]?.what, `The namespace of "netns:${pin}", attached to "demo" by "eth0", is gone`);
  t.deepEqual(mends(), [
    ['gone-namespace', '"netloom gc" removes it; where the container runs again, "netloom restore" connects it again'],
  ]);
  rmSync(join(lab.root, 'var/lib/netloom/endpoints'), { recursive: true });
  t.deepEqual(mends(), [['gone-namespace', 'its runtime removes the container']]);
});

for (const [title, leave] of [
  ['gone', (pin: string) => `umount ${pin}; rm ${pin}`],
  ['an empty file', (pin: string) => `umount ${pin}`],
] as const)
  test.serial(`a sandbox whose namespace is ${title} is brought back`, (t) => {
    const { lab, netloom, examine } = start(t);
    sh(leave(join(lab.root, 'run/netloom/netns/web')));
    const { status, stderr } = netloom.try('exec', 'web', 'true');
    t.is(status, 125);
    t.regex(
      stderr,
      /The sandbox "web" has no namespace any more, as after a boot\n {2}"netloom restore" brings it back/,
    );
    const checks = new Set(examine().findings.map(({ check }) => check));
    t.true(checks.has('gone-sandbox') && checks.has('gone-namespace'));
    examine('--fix');
    t.regex(netloom.run('exec', 'web', '--', 'ip', '-o', 'addr'), /eth0 +inet 10\.66\.0\./);
    t.deepEqual(examine(), { status: 0, findings: [] });
    t.truthy(ip('link').length);
  });

for (const [one, other, expected] of [
  ['mtu', 'mtu', 0],
  ['isGatway', 'isGateway', 1],
  ['hairpinmdoe', 'hairpinmode', 1],
  ['', 'abc', 3],
  ['kitten', 'sitting', 3],
] as const) {
  test(`from "${one}" to "${other}" it is ${expected} slips`, (t) => {
    t.is(distance(one, other), expected);
    t.is(distance(other, one), expected);
  });
}
