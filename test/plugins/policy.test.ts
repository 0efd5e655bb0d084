/** policy as a container runtime executes it, and on the command line: its ruleset as text, packets, and its life. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { Chain } from '../support/chain.ts';
import { becomeHost, type Sandbox } from '../support/host.ts';
import { BIN, bridgeConf, type Json, Lab, type Output, WITHOUT_NETLINK } from '../support/lab.ts';
import { Limit } from '../support/limit.ts';
import { addOutside, OUTSIDE } from '../support/outside.ts';
import { Connection, serve, talks } from '../support/talk.ts';

becomeHost();

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]] };
const bridge = bridgeConf({ ipam });
const withPolicy = (policy: Json): Json[] => [bridge, { type: 'policy', policy }];
const NOBODY = { ingress: { default: 'deny' } };

const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const addressOf = (result: Output, family: 4 | 6 = 4) =>
  result.ips?.[family === 4 ? 0 : 1]?.address.replace(/\/.*/, '') ?? 'none';
const pings = (sandbox: Sandbox, address: string) => {
  try {
    sandbox.run('ping', '-c', '1', '-W', '1', '-q', address);
    return true;
  } catch {
    return false;
  }
};

/** The command line. */
function netloom(
  lab: Lab,
  args: readonly string[],
  input = '',
): { status: number | null; stdout: string; stderr: string } {
  const env = { PATH: process.env['PATH'], NETLOOM_ROOT: lab.root };
  return spawnSync(`${BIN}/../netloom`, args, { env, input, encoding: 'utf8' });
}

function apply(lab: Lab, container: string, policy: Json, network = 'net'): void {
  const { status, stderr } = netloom(lab, ['policy', 'apply', '-'], JSON.stringify({ network, container, policy }));
  if (status !== 0) throw new Error(stderr);
}

const RULESET = `table inet netloom {
	comment "made by netloom"
	map policy-egress4 {
		type ipv4_addr : verdict
		comment "endpoints"
		elements = { 10.1.0.2 comment "net/c1/eth0" : jump egress4-HASH }
	}

	map policy-egress6 {
		type ipv6_addr : verdict
		comment "endpoints"
		elements = { fd00:1::2 comment "net/c1/eth0" : jump egress6-HASH }
	}

	map policy-ingress4 {
		type ipv4_addr : verdict
		comment "endpoints"
		elements = { 10.1.0.2 comment "net/c1/eth0" : jump ingress4-HASH }
	}

	map policy-ingress6 {
		type ipv6_addr : verdict
		comment "endpoints"
		elements = { fd00:1::2 comment "net/c1/eth0" : jump ingress6-HASH }
	}

	set egress4-HASH {
		type ipv4_addr . inet_proto . inet_service
		flags interval
		comment "peers"
		elements = { 0.0.0.0-9.255.255.255 . 0-255 . 0-65535,
			     11.0.0.0-255.255.255.255 . 0-255 . 0-65535 }
	}

	set ingress4-HASH {
		type ipv4_addr . inet_proto . inet_service
		flags interval
		comment "peers"
		elements = { 172.20.10.0-172.20.10.8 . tcp . 80-443,
			     172.20.10.9 . tcp . 443,
			     172.20.10.10-172.20.10.255 . tcp . 80-443 }
	}

	set egress6-HASH {
		type ipv6_addr . inet_proto . inet_service
		flags interval
		comment "peers"
		elements = { ::/0 . 0-5 . 0-65535,
			     ::/0 . 7-255 . 0-65535,
			     ::/0 . tcp . 0-24,
			     ::/0 . tcp . 26-65535 }
	}

	chain policy-drop {
		comment "netloom policy, layout 1"
		drop
	}

	chain policy-replies {
		comment "netloom policy, layout 1"
		ip daddr vmap @policy-egress4
		ip saddr vmap @policy-ingress4
		ip6 daddr vmap @policy-egress6
		ip6 saddr vmap @policy-ingress6
	}

	chain policy {
		comment "netloom policy, layout 1"
		ct state untracked return
		meta l4proto icmp ct state related return
		meta l4proto ipv6-icmp ct state related return
		ct direction reply goto policy-replies
		ip saddr vmap @policy-egress4
		ip daddr vmap @policy-ingress4
		ip6 saddr vmap @policy-egress6
		ip6 daddr vmap @policy-ingress6
	}

	chain policy-forward {
		comment "netloom policy, layout 1"
		type filter hook forward priority filter; policy accept;
		jump policy
	}

	chain policy-input {
		comment "netloom policy, layout 1"
		type filter hook input priority filter; policy accept;
		jump policy
	}

	chain policy-output {
		comment "netloom policy, layout 1"
		type filter hook output priority filter; policy accept;
		jump policy
	}

	chain egress4-HASH {
		comment "a policy"
		ct direction original ip daddr . meta l4proto . th dport @egress4-HASH return
		ct direction reply ip saddr . meta l4proto . th sport @egress4-HASH return
		goto policy-drop
	}

	chain ingress4-HASH {
		comment "a policy"
		ct direction original ip saddr . meta l4proto . th dport @ingress4-HASH return
		ct direction reply ip daddr . meta l4proto . th sport @ingress4-HASH return
		goto policy-drop
	}

	chain egress6-HASH {
		comment "a policy"
		ct direction original ip6 daddr . meta l4proto . th dport @egress6-HASH return
		ct direction reply ip6 saddr . meta l4proto . th sport @egress6-HASH return
		goto policy-drop
	}

	chain ingress6-HASH {
		comment "a policy"
		goto policy-drop
	}
}
`;

test.serial('the whole ruleset', (t) => {
  const lab = new Lab(t);
  const chain = new Chain(
    lab,
    withPolicy({
      ingress: {
        default: 'deny',
        allow: [
          {
            from: ['172.20.10.0/24'],
            except: ['172.20.10.9/32'],
            ports: [{ protocol: 'tcp', port: 80, endPort: 443 }],
          },
          { from: ['172.20.10.0/28'], ports: [{ protocol: 'tcp', port: 443 }] },
        ],
      },
      egress: {
        default: 'allow',
        deny: [{ to: ['10.0.0.0/8'] }, { to: ['::/0'], ports: [{ protocol: 'tcp', port: 25 }] }],
      },
    }),
  );
  const before = lab.snapshot();
  const target = { sandbox: lab.sandbox('c1') };
  const result = chain.add(target);
  const text = run('nft', 'list', 'table', 'inet', 'netloom').replaceAll(
    /\b((in|e)gress[46])-[0-9a-f]{16}/g,
    '$1-HASH',
  );
  t.is(text, RULESET);
  chain.check(target, result);
  chain.del(target, result);
  run('ip', 'link', 'del', 'cni0');
  t.is(lab.snapshot(), before);
});

test.serial(
  'neighbours reach each other by link-local addresses whatever their policy, unless their ports are isolated',
  (t) => {
    const lab = new Lab(t);
    const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
    const local = () =>
      two
        .ip<{ addr_info: readonly { local: string; scope: string }[] }>('-6', 'addr', 'show', 'eth0')
        .flatMap(({ addr_info: all }) => all.find(({ scope }) => scope === 'link')?.local ?? [])[0];
    const attach = (...more: Json[]) => {
      const chain = new Chain(lab, [...withPolicy(NOBODY), ...more]);
      chain.add({ sandbox: one });
      const result = chain.add({ sandbox: two });
      const limit = new Limit(60);
      while (local() === undefined && !limit.isOver());
      return { address: addressOf(result, 6), local: `${local()}%eth0`, chain };
    };
    const open = attach();
    t.false(pings(one, open.address));
    t.true(one.reaches(open.local), open.local);
    for (const sandbox of [one, two]) open.chain.del({ sandbox });
    const isolated = attach({ type: 'firewall', ingressPolicy: 'isolated' });
    t.false(pings(one, isolated.local));
  },
);

for (const family of [4, 6] as const) {
  test.serial(
    `ingress: who may reach a container, on its own bridge, from the host and from outside, IPv${family}`,
    async (t) => {
      const lab = new Lab(t);
      const outside = addOutside(lab);
      const [one, two, three] = [lab.sandbox('c1'), lab.sandbox('c2'), lab.sandbox('c3')];
      const open = new Chain(lab, [bridge]);
      open.add({ sandbox: two });
      const third = open.add({ sandbox: three });
      const friend = `${addressOf(third, family)}/${family === 4 ? 32 : 128}`;
      const chain = new Chain(
        lab,
        withPolicy({
          ingress: {
            allow: [
              {
                from: [friend],
                ports: [
                  { protocol: 'tcp', port: 80, endPort: 81 },
                  { protocol: 'udp', port: 80 },
                ],
              },
              {
                from: [`${OUTSIDE[family]}/${family === 4 ? 32 : 128}`],
                ports: [{ protocol: family === 4 ? 'icmp' : 'icmpv6' }],
              },
            ],
          },
        }),
      );
      const address = addressOf(chain.add({ sandbox: one }), family);
      await Promise.all([serve(t, one, 80, 81, 82), serve(t, two, 80)]);
      t.true(talks(three, address, 80, true));
      t.true(talks(three, address, 81, true));
      t.true(talks(three, address, 80, true, 'udp'));
      t.false(talks(three, address, 82, false), 'another port');
      t.false(talks(three, address, 81, false, 'udp'), 'another protocol');
      t.false(talks(two, address, 80, false), 'another container of the bridge');
      t.false(talks(outside, address, 80, false));
      t.true(outside.reaches(address), 'echo requests from outside');
      t.false(pings(two, address));
      t.throws(
        () => execFileSync('ping', ['-c', '1', '-W', '1', address], { stdio: 'ignore' }),
        undefined,
        'the host is a peer as any',
      );
      // Answers to connections of its own come in.
      t.true(talks(one, family === 4 ? '10.1.0.2' : 'fd00:1::2', 80, true));
      t.true(one.reaches(OUTSIDE[family]));
    },
  );

  test.serial(`egress: whom a container may reach, IPv${family}`, async (t) => {
    const lab = new Lab(t);
    const outside = addOutside(lab);
    const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
    const bits = family === 4 ? 32 : 128;
    const chain = new Chain(
      lab,
      withPolicy({
        egress: {
          default: 'deny',
          allow: [{ to: [`${OUTSIDE[family]}/${bits}`], ports: [{ protocol: 'tcp', port: 80 }] }],
        },
      }),
    );
    const first = chain.add({ sandbox: one });
    const second = new Chain(lab, [bridge]).add({ sandbox: two });
    await Promise.all([serve(t, outside, 80, 81), serve(t, two, 80), serve(t, one, 80)]);
    t.true(talks(one, OUTSIDE[family], 80, true));
    t.false(talks(one, OUTSIDE[family], 81, false));
    t.false(talks(one, addressOf(second, family), 80, false), 'a container of its bridge');
    t.false(pings(one, family === 4 ? '10.1.0.1' : 'fd00:1::1'), 'the host');
    t.true(talks(two, addressOf(first, family), 80, true), 'answers go out');
    t.true(talks(outside, addressOf(first, family), 80, true), 'answers go out');
  });
}

test.serial('translated connections: the peer is the one behind the translation', async (t) => {
  const lab = new Lab(t);
  const outside = addOutside(lab);
  const conf = { ...bridge, ipMasq: true };
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const chain = new Chain(lab, [
    conf,
    {
      type: 'policy',
      policy: {
        ingress: { allow: [{ from: [`${OUTSIDE[4]}/32`], ports: [{ protocol: 'tcp', port: 80 }] }] },
        egress: { allow: [{ to: [`${OUTSIDE[4]}/32`], ports: [{ protocol: 'tcp', port: 80 }] }] },
      },
    },
  ]);
  const address = addressOf(chain.add({ sandbox: one }));
  new Chain(lab, [conf]).add({ sandbox: two });
  run('nft', 'add table ip probe; add chain ip probe c { type nat hook prerouting priority dstnat; }');
  run(
    'nft',
    `add rule ip probe c ip daddr 192.0.2.1 tcp dport { 8080, 8081 } dnat to ${address} : tcp dport map { 8080 : 80, 8081 : 81 }`,
  );
  await Promise.all([serve(t, one, 80, 81), serve(t, outside, 80)]);
  t.true(talks(outside, '192.0.2.1', 8080, true), 'a published port');
  t.false(talks(outside, '192.0.2.1', 8081, false), 'one that leads to another port');
  t.false(talks(two, '192.0.2.1', 8080, false), 'from elsewhere');
  t.true(talks(one, OUTSIDE[4], 80, true), 'masqueraded');
});

test.serial('a withdrawn allow cuts what is established at once; what is still allowed never notices', async (t) => {
  const lab = new Lab(t);
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const both = { ingress: { allow: [{ from: ['10.1.0.0/24'], ports: [{ protocol: 'tcp', port: 80, endPort: 81 }] }] } };
  const only = { ingress: { allow: [{ from: ['10.1.0.3/32'], ports: [{ protocol: 'tcp', port: 80 }] }] } };
  const address = addressOf(new Chain(lab, withPolicy(both)).add({ sandbox: one }));
  new Chain(lab, [bridge]).add({ sandbox: two });
  await serve(t, one, 80, 81);
  const [kept, cut] = [new Connection(t, two, address, 80), new Connection(t, two, address, 81)];
  t.is(await kept.say('a', 30), 'a');
  t.is(await cut.say('b', 30), 'b');
  let isChanging = true;
  const talking = (async () => {
    let words = 0;
    while (isChanging) t.is(await kept.say(`w${words}`, 30), `w${words++}`);
    return words;
  })();
  for (let i = 0; i < 20; i++) {
    for (const policy of [both, only]) {
      apply(lab, 'c1', policy);
      await new Promise(setImmediate);
    }
  }
  isChanging = false;
  t.log(`${await talking} words while the policy changed 40 times`);
  t.is(await cut.say('c', 1), 'nothing');
  t.false(talks(two, address, 81, false));
  t.is(await kept.say('d', 30), 'd');
  const { stdout } = netloom(lab, ['policy', 'ls']);
  t.is(stdout, 'net/c1/eth0  10.1.0.2  ingress  10.1.0.3 tcp 80\nnet/c1/eth0  fd00:1::2  ingress  nothing\n');
});

test.serial('the short form, and one that the runtime asks for', async (t) => {
  const lab = new Lab(t);
  const [one, two, three] = [lab.sandbox('c1'), lab.sandbox('c2'), lab.sandbox('c3')];
  const short = {
    ingress: { allow: ['10.1.0.3/32'], deny: ['0.0.0.0/0'] },
    egress: { allow: ['0.0.0.0/0'] },
  };
  const plugin = { type: 'policy', policy: NOBODY, runtimeConfig: { policy: short } };
  const chain = new Chain(lab, [bridge, plugin]);
  const result = chain.add({ sandbox: one });
  for (const sandbox of [two, three]) new Chain(lab, [bridge]).add({ sandbox });
  t.true(two.reaches('10.1.0.2'));
  t.false(pings(three, '10.1.0.2'));
  t.false(pings(two, 'fd00:1::2'), 'a deny of everybody is the default, of both families');
  t.true(one.reaches('10.1.0.4'));
  chain.check({ sandbox: one }, result);
});

test.serial('policy apply, ls and rm', (t) => {
  const lab = new Lab(t);
  const [one, two] = [{ sandbox: lab.sandbox('c1') }, { sandbox: lab.sandbox('c2') }];
  const open = new Chain(lab, [bridge]);
  const first = open.add(one);
  open.add(two);
  const file = `${lab.root}/policy.json`;
  writeFileSync(
    file,
    JSON.stringify([
      { network: 'net', container: 'c1', policy: { ingress: { allow: ['10.1.0.9/32'] } } },
      { network: 'net', container: 'c2', ifname: 'eth0', policy: { egress: { default: 'deny' } } },
    ]),
  );
  const applied = netloom(lab, ['policy', 'apply', '--json', file]);
  t.deepEqual(JSON.parse(applied.stdout || applied.stderr), [
    { endpoint: 'net/c1/eth0', addresses: ['10.1.0.2', 'fd00:1::2'] },
    { endpoint: 'net/c2/eth0', addresses: ['10.1.0.3', 'fd00:1::3'] },
  ]);
  t.false(pings(two.sandbox, '10.1.0.2'));
  t.deepEqual(JSON.parse(netloom(lab, ['policy', 'ls', '--json']).stdout), [
    { endpoint: 'net/c1/eth0', address: '10.1.0.2', direction: 'ingress', allowed: ['10.1.0.9'] },
    { endpoint: 'net/c1/eth0', address: 'fd00:1::2', direction: 'ingress', allowed: [] },
    { endpoint: 'net/c2/eth0', address: '10.1.0.3', direction: 'egress', allowed: [] },
    { endpoint: 'net/c2/eth0', address: 'fd00:1::3', direction: 'egress', allowed: [] },
  ]);
  const wrong = netloom(lab, ['policy', 'rm', 'net/c2', 'net/other']);
  t.is(wrong.status, 1);
  t.regex(wrong.stderr, /Cannot find "net\/other\/eth0"/);
  t.false(pings(two.sandbox, '10.1.0.1'), 'nothing has changed');
  t.is(netloom(lab, ['policy', 'remove', 'net/c2']).stdout, 'net/c2/eth0: removed\n');
  t.is(netloom(lab, ['policy', 'rm', 'net/c2']).stdout, 'net/c2/eth0: had none\n');
  t.true(two.sandbox.reaches('10.1.0.1'));
  // The network's conflist has no policy; its DEL ends this one all the same.
  open.del(one, first);
  t.is(run('nft', 'list', 'ruleset'), '');
  t.deepEqual(readdirSync(`${lab.root}/run/netloom/policy/net`), []);
  open.add(one);
  apply(lab, 'c1', NOBODY);
  open.gc([{ containerID: 'c2', ifname: 'eth0' }]);
  t.is(run('nft', 'list', 'ruleset'), '');
  t.deepEqual(readdirSync(`${lab.root}/run/netloom/policy/net`), []);
});

test.serial('policy apply and rm name what there is where a network or a container is misspelt', (t) => {
  const lab = new Lab(t);
  const says = (network: string, container: string) => {
    const applied = netloom(lab, ['policy', 'apply', '-'], JSON.stringify({ network, container, policy: NOBODY }));
    const removed = netloom(lab, ['policy', 'rm', `${network}/${container}`]);
    t.deepEqual([applied.status, removed.status], [1, 1]);
    t.is(applied.stderr, removed.stderr);
    return applied.stderr;
  };
  t.is(says('net', 'c1'), 'netloom: Cannot find "net/c1/eth0": there is no network "net"\n  there are no networks\n');
  const conflists = `${lab.root}/etc/cni/net.d`;
  mkdirSync(conflists, { recursive: true });
  writeFileSync(`${conflists}/web.conflist`, JSON.stringify({ cniVersion: '1.0.0', name: 'web', plugins: [bridge] }));
  t.is(
    says('web', 'c1'),
    'netloom: Cannot find "web/c1/eth0": "web" has no wire of bridge or ptp on this host\n  no other network has one either\n',
  );
  const open = new Chain(lab, [bridge]);
  open.add({ sandbox: lab.sandbox('c1') });
  open.add({ sandbox: lab.sandbox('c2'), ifname: 'db0' });
  t.is(says('nte', 'c1'), 'netloom: Cannot find "nte/c1/eth0": there is no network "nte"\n  there are: net, web\n');
  t.is(
    says('web', 'c1'),
    'netloom: Cannot find "web/c1/eth0": "web" has no wire of bridge or ptp on this host\n  there are: net/c1, net/c2/db0\n',
  );
  t.is(
    says('net', 'c2'),
    'netloom: Cannot find "net/c2/eth0": no container of "net" has such an interface here\n  there are: net/c1, net/c2/db0\n',
  );
  t.is(run('nft', 'list', 'ruleset'), '');
});

test.serial('policy apply and rm take the beginning of an id that engines show, where one container has it', (t) => {
  const lab = new Lab(t);
  const open = new Chain(lab, [bridge]);
  const ids = ['060dd08f20b5be57', '060dd08f20b5bf00', '988739d8a3ac1681'];
  for (const id of ids) open.add({ sandbox: lab.sandbox(id) });
  const apply = (container: string) =>
    netloom(lab, ['policy', 'apply', '-'], JSON.stringify({ network: 'net', container, policy: NOBODY }));
  t.regex(apply('988739d8a3ac').stdout, /^net\/988739d8a3ac1681\/eth0: /);
  t.regex(run('nft', 'list', 'ruleset'), /comment "net\/988739d8a3ac1681\/eth0"/);
  t.is(netloom(lab, ['policy', 'rm', 'net/988739d8a3ac']).stdout, 'net/988739d8a3ac1681/eth0: removed\n');
  // Ambiguous; too short; another network; and, below, another interface.
  for (const [network, container] of [
    ['net', '060dd08f20b5'],
    ['net', '988739d8'],
    ['other', '988739d8a3ac'],
  ] as const)
    t.is(netloom(lab, ['policy', 'rm', `${network}/${container}`]).status, 1);
  t.is(netloom(lab, ['policy', 'rm', 'net/988739d8a3ac/eth1']).status, 1);
  t.is(apply('060dd08f20b5').status, 1);
  t.is(run('nft', 'list', 'ruleset'), '');
});

test.serial('policy apply says what is wrong, and changes nothing', (t) => {
  const lab = new Lab(t);
  new Chain(lab, [bridge]).add({ sandbox: lab.sandbox('c1') });
  const says = (document: unknown) => netloom(lab, ['policy', 'apply', '-'], JSON.stringify(document));
  for (const [document, pattern] of [
    [{ network: 'net', container: 'nobody', policy: {} }, /Cannot find "net\/nobody\/eth0"/],
    [{ network: 'net', policy: {} }, /"container" is missing, expected a name/],
    [{ network: 'net', container: 'c1', polciy: {} }, /"polciy" is an unknown key/],
    [
      [{ network: 'net', container: 'c1', policy: { ingress: { allow: ['10.1.0.1/24'] } } }],
      /"\[0\].policy.ingress.allow\[0\]" is "10.1.0.1\/24"/,
    ],
  ] as const) {
    const { status, stderr } = says(document);
    t.not(status, 0);
    t.regex(stderr, pattern);
  }
  t.not(netloom(lab, ['policy', 'rm', 'net']).status, 0);
  t.is(run('nft', 'list', 'ruleset'), '');
});

test.serial('endpoints with the same policy share it; another one is theirs alone', (t) => {
  const lab = new Lab(t);
  const chain = new Chain(lab, withPolicy({ ingress: { allow: ['10.1.0.0/25'] } }));
  const targets = ['a', 'b', 'c'].map((name) => ({ sandbox: lab.sandbox(name) }));
  const results = targets.map((target) => chain.add(target));
  const chains = () => run('nft', 'list', 'ruleset').match(/^\tchain ingress4/gm)?.length ?? 0;
  t.is(chains(), 1);
  apply(lab, 'b', NOBODY);
  t.is(chains(), 2);
  apply(lab, 'b', { ingress: { allow: ['10.1.0.0/25'] } });
  t.is(chains(), 1);
  for (const [i, target] of targets.entries()) chain.del(target, results[i]);
  t.is(run('nft', 'list', 'ruleset'), '');
});

test.serial('where frames between ports pass unseen, the bridge alone is told to show them', (t) => {
  const lab = new Lab(t);
  for (const key of ['iptables', 'ip6tables']) writeFileSync(`/proc/sys/net/bridge/bridge-nf-call-${key}`, '0');
  t.teardown(() => {
    for (const key of ['iptables', 'ip6tables']) writeFileSync(`/proc/sys/net/bridge/bridge-nf-call-${key}`, '1');
  });
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const [, plugin = {}] = withPolicy(NOBODY);
  const chain = new Chain(lab, withPolicy(NOBODY));
  const result = chain.add({ sandbox: one });
  new Chain(lab, [bridge]).add({ sandbox: two });
  t.false(pings(two, '10.1.0.2'));
  t.false(pings(two, 'fd00:1::2'));
  chain.check({ sandbox: one }, result);
  run('ip', 'link', 'set', 'cni0', 'type', 'bridge', 'nf_call_ip6tables', '0');
  const { output } = lab.exec('CHECK', { ...bridge, ...plugin, prevResult: result }, { sandbox: one });
  t.regex(output.msg ?? '', /what passes between the ports of "cni0" is not judged/);
});

test.serial('a policy on a bridge where br_netfilter is not loaded is refused with the command that loads it', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const [, plugin = {}] = withPolicy(NOBODY);
  const prevResult = new Chain(lab, [bridge]).add({ sandbox });
  run('mount', '-t', 'tmpfs', 'tmpfs', '/proc/sys/net/bridge');
  t.teardown(() => run('umount', '/proc/sys/net/bridge'));
  const before = lab.snapshot();
  const { output } = lab.exec('ADD', { ...bridge, ...plugin, prevResult }, { sandbox });
  t.is(output.code, 105);
  t.is(
    output.msg,
    'Cannot judge what passes between the ports of a bridge: the module br_netfilter is not loaded (CONFIG_BRIDGE_NETFILTER)',
  );
  t.is(output.details, 'run `modprobe br_netfilter`, and name it in /etc/modules-load.d for the next boot');
  t.is(lab.snapshot(), before);
});

test.serial('CHECK names the address whose policy is not there', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const [, plugin = {}] = withPolicy(NOBODY);
  const prevResult = new Chain(lab, withPolicy(NOBODY)).add({ sandbox });
  run('nft', 'delete element inet netloom policy-ingress6 { fd00:1::2 }');
  const { output } = lab.exec('CHECK', { ...bridge, ...plugin, prevResult }, { sandbox });
  t.is(output.msg, 'The attachment is not as ADD left it: the address fd00:1::2 has not its policy');
});

test.serial('DEL succeeds twice, without ADD, without the namespace, without prevResult, and leaves nothing', (t) => {
  const lab = new Lab(t);
  const chain = new Chain(lab, withPolicy({ ingress: { allow: ['10.1.0.0/25'] }, egress: { deny: ['10.2.0.0/16'] } }));
  const target = { sandbox: lab.sandbox('c1') };
  chain.del(target);
  chain.add({ sandbox: lab.sandbox('neighbour') });
  const before = lab.snapshot();
  for (const keepsResult of [true, false]) {
    const result = chain.add(target);
    for (let i = 0; i < 2; i++) {
      chain.del({ ...target, netns: '' }, keepsResult ? result : undefined);
      t.is(lab.snapshot(), before);
    }
  }
});

test.serial('DEL with a result that does not name the addresses finds them by their owner', (t) => {
  const lab = new Lab(t);
  const chain = new Chain(lab, withPolicy(NOBODY));
  const target = { sandbox: lab.sandbox('c1') };
  chain.add({ sandbox: lab.sandbox('neighbour') });
  const before = lab.snapshot();
  chain.add(target);
  chain.del(target, { cniVersion: '1.1.0' });
  t.is(lab.snapshot(), before);
});

test.serial('GC removes exactly what is not listed, of its network', (t) => {
  const lab = new Lab(t);
  const chain = new Chain(lab, withPolicy(NOBODY));
  const other = new Chain(lab, [
    bridgeConf({
      name: 'other',
      bridge: 'other0',
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }]] },
    }),
    { type: 'policy', policy: NOBODY },
  ]);
  const target = { sandbox: lab.sandbox('keep') };
  const kept = other.add(target);
  const before = lab.snapshot();
  for (const name of ['a', 'b']) chain.add({ sandbox: lab.sandbox(name) });
  chain.gc([]);
  run('ip', 'link', 'del', 'cni0');
  t.is(lab.snapshot(), before);
  other.gc([{ containerID: 'keep', ifname: 'eth0' }]);
  other.check(target, kept);
  other.gc([]);
  t.is(run('nft', 'list', 'ruleset'), '');
});

test.serial('STATUS is well, or names what is wrong with the policy', (t) => {
  const lab = new Lab(t);
  const [, plugin = {}] = withPolicy(NOBODY);
  t.is(lab.exec('STATUS', { ...bridge, ...plugin }).status, 0);
  t.is(lab.exec('STATUS', { ...bridge, ...plugin, policy: { ingress: 1 } }).output.code, 7);
  t.is(lab.exec('STATUS', { ...bridge, ...plugin }, {}, { wrap: WITHOUT_NETLINK }).output.code, 50);
});

test.serial('a rule of somebody else that jumps to ours does not keep a container from going', (t) => {
  const lab = new Lab(t);
  const chain = new Chain(lab, withPolicy(NOBODY));
  const target = { sandbox: lab.sandbox('c1') };
  const result = chain.add(target);
  run('nft', 'add chain inet netloom theirs { }; add rule inet netloom theirs jump policy-replies');
  chain.del(target, result);
  run('nft', 'delete chain inet netloom theirs');
  chain.del(target, result);
  t.is(run('nft', 'list', 'ruleset'), '');
});

const port = (more: Json) => ({ ingress: { allow: [{ ports: [{ protocol: 'tcp', ...more }] }] } });
const refused: readonly (readonly [Json, string])[] = [
  [
    { ingress: { allow: ['10.1.0.5/24'] } },
    '"policy.ingress.allow[0]" is "10.1.0.5/24", expected a prefix without host bits, such as "10.1.0.0/24"',
  ],
  [
    { ingress: { allow: ['10.1.0.5'] } },
    '"policy.ingress.allow[0]" is "10.1.0.5", expected a prefix such as "10.1.0.5/32"',
  ],
  [
    { ingress: { allow: [{ from: ['fd00::1'] }] } },
    '"policy.ingress.allow[0].from[0]" is "fd00::1", expected a prefix such as "fd00::1/128"',
  ],
  [
    { ingress: { allow: ['10.1.0.0/33'] } },
    '"policy.ingress.allow[0]" is "10.1.0.0/33", expected a prefix such as "10.1.0.0/24"',
  ],
  [
    { ingress: { allow: [{ from: ['fd00::1/64'] }] } },
    '"policy.ingress.allow[0].from[0]" is "fd00::1/64", expected a prefix without host bits',
  ],
  [
    { ingress: { allow: ['10.0.0.0/8', '10.1.0.0/16'] } },
    '"policy.ingress.allow[1]" is "10.1.0.0/16", expected a prefix that does not overlap "policy.ingress.allow[0]", 10.0.0.0/8',
  ],
  [
    { egress: { deny: [{ to: ['10.0.0.0/8', '10.1.0.0/16'] }] } },
    '"policy.egress.deny[0].to[1]" is "10.1.0.0/16", expected a prefix that does not overlap',
  ],
  [
    { ingress: { allow: [{ from: ['10.1.0.0/16'], except: ['10.2.0.0/24'] }] } },
    '"policy.ingress.allow[0].except[0]" is "10.2.0.0/24", expected a part of what "from" names',
  ],
  [{ ingress: { allow: [{ from: [] }] } }, '"policy.ingress.allow[0].from" is [], expected at least one prefix'],
  [
    { ingress: { allow: [{ to: ['10.1.0.0/16'] }] } },
    '"policy.ingress.allow[0].to" is ["10.1.0.0/16"], expected no such key, only from, except, ports',
  ],
  [{ ingres: {} }, '"policy.ingres" is {}, expected no such key, only ingress, egress'],
  [{ ingress: { default: 'drop' } }, '"policy.ingress.default" is "drop", expected "allow" or "deny"'],
  [
    { ingress: { default: 'allow', deny: ['0.0.0.0/0'] } },
    '"policy.ingress.default" is "allow", expected "deny", because "deny" names everybody',
  ],
  [{ ingress: [] }, '"policy.ingress" is [], expected an object'],
  [{ ingress: { allow: 'all' } }, '"policy.ingress.allow" is "all", expected a list'],
  [{ ingress: { allow: [7] } }, '"policy.ingress.allow[0]" is 7, expected an object or a prefix'],
  [port({ port: 0 }), '"policy.ingress.allow[0].ports[0].port" is 0, expected a whole number from 1 to 65535'],
  [port({ port: 65_536 }), '"policy.ingress.allow[0].ports[0].port" is 65536, expected a whole number from 1 to 65535'],
  [port({ port: '80' }), '"policy.ingress.allow[0].ports[0].port" is "80", expected a whole number'],
  [port({ port: 80, endPort: 79 }), '"policy.ingress.allow[0].ports[0].endPort" is 79, expected a port not below 80'],
  [port({ endPort: 79 }), '"policy.ingress.allow[0].ports[0].endPort" is 79, expected a "port" beside it'],
  [
    port({ protocol: 'tpc' }),
    '"policy.ingress.allow[0].ports[0].protocol" is "tpc", expected tcp, udp, sctp, icmp, icmpv6',
  ],
  [
    port({ protocol: 'icmp', port: 8 }),
    '"policy.ingress.allow[0].ports[0].port" is 8, expected no port, icmp has none',
  ],
  [
    {
      ingress: {
        allow: [
          {
            ports: [
              { protocol: 'tcp', port: 80, endPort: 90 },
              { protocol: 'tcp', port: 85 },
            ],
          },
        ],
      },
    },
    '"policy.ingress.allow[0].ports[1]" is {"protocol":"tcp","port":85}, expected ports that "policy.ingress.allow[0].ports[0]" does not name already',
  ],
];

for (const [policy, says] of refused) {
  test.serial(`refused: ${JSON.stringify(policy)}`, (t) => {
    const lab = new Lab(t);
    const before = lab.snapshot();
    const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'lo' }], ips: [{ address: '10.1.0.2/24' }] };
    const conf = { cniVersion: '1.1.0', name: 'net', type: 'policy', policy, prevResult };
    const { output } = lab.exec('ADD', conf, { sandbox: lab.sandbox('c1') });
    t.is(output.code, 7);
    t.true(output.msg?.startsWith(`failed to load netconf: ${says}`), output.msg);
    t.is(lab.snapshot(), before);
  });
}

test.serial('refused where a direction stands beside "policy": passed over, it would leave the container open', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'lo' }], ips: [{ address: '10.1.0.2/24' }] };
  const conf = { cniVersion: '1.1.0', name: 'net', type: 'policy', ...NOBODY, prevResult };
  for (const policy of [{}, { policy: {} }]) {
    const { output } = lab.exec('ADD', { ...conf, ...policy }, { sandbox });
    t.is(output.code, 7);
    t.is(
      output.msg,
      'failed to load netconf: "ingress" stands beside "policy", expected within it: "policy": { "ingress": … }',
    );
  }
  t.is(lab.snapshot(), before);
  t.is(lab.exec('DEL', conf, { sandbox }).status, 0);
});

test.serial('refused where the packets pass the host unseen, unless nothing is refused to them', (t) => {
  const lab = new Lab(t);
  run('ip', 'link', 'add', 'm0', 'up', 'type', 'veth', 'peer', 'name', 'm1');
  const sandbox = lab.sandbox('c1');
  const macvlan = { cniVersion: '1.1.0', name: 'net', type: 'macvlan', master: 'm0', ipam };
  const prevResult = lab.add(macvlan, { sandbox });
  const before = lab.snapshot();
  const conf = { cniVersion: '1.1.0', name: 'net', type: 'policy', policy: NOBODY, prevResult };
  const { output } = lab.exec('ADD', conf, { sandbox });
  t.is(output.code, 7);
  t.regex(output.msg ?? '', /"policy" refuses something, but no plugin before has an interface on the host/);
  t.is(lab.snapshot(), before);
  t.is(lab.exec('ADD', { ...conf, policy: {} }, { sandbox }).status, 0);
});

test.serial('an address of another network is refused by the name of its holder', (t) => {
  const lab = new Lab(t);
  const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'lo' }], ips: [{ address: '10.1.0.2/24' }] };
  const conf = { cniVersion: '1.1.0', name: 'net', type: 'policy', policy: NOBODY, prevResult };
  lab.add(conf, { sandbox: lab.sandbox('c1') });
  const { output } = lab.exec('ADD', { ...conf, name: 'other' }, { sandbox: lab.sandbox('c2') });
  t.is(output.msg, 'Cannot set the policy of 10.1.0.2 for "other/c2/eth0": EEXIST, "net/c1/eth0" has the address');
  // Within the same network the old holder is a left-over: the address is ours now.
  lab.add(conf, { sandbox: lab.sandbox('c3') });
  lab.del(conf, { containerId: 'c1' });
  t.regex(lab.snapshot(), /net\/c3\/eth0/);
});

test.serial('forty processes at once, adding, replacing and deleting: the last one out leaves nothing', async (t) => {
  const lab = new Lab(t);
  const netns = lab.sandbox('all').path;
  const before = lab.snapshot();
  const conf = (i: number, policy: Json): Json => ({
    cniVersion: '1.1.0',
    name: 'net',
    type: 'policy',
    policy,
    prevResult: {
      cniVersion: '1.1.0',
      interfaces: [{ name: 'lo' }],
      ips: [{ address: `10.1.0.${i + 2}/24` }, { address: `fd00:1::${i + 2}/64` }],
    },
  });
  const ends = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const target = { containerId: `c${i}`, netns };
      const shared = conf(i, NOBODY);
      const own = conf(i, { ingress: { allow: [`10.9.${i % 4}.0/24`] } });
      const ran = [];
      for (const [command, given] of [
        ['ADD', shared],
        ['CHECK', shared],
        ['ADD', own],
        ['CHECK', own],
        ['DEL', i % 3 === 0 ? { ...own, prevResult: undefined } : own],
      ] as const) {
        ran.push(await lab.start(command, given, target));
      }
      return ran.filter(({ status }) => status !== 0).map(({ stdout }) => stdout);
    }),
  );
  t.deepEqual(ends.flat(), []);
  t.is(lab.snapshot(), before);
});
