/** firewall as a container runtime executes it: its rulesets as text, packets, and its life. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { standaloneOnly } from '../agent/agent-process.ts';
import { after, Chain } from '../support/chain.ts';
import { becomeHost, ip, type Sandbox } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Output, WITHOUT_NETLINK } from '../support/lab.ts';
import { addOutside, OUTSIDE } from '../support/outside.ts';

becomeHost();

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]] };
const bridge = bridgeConf({ ipam });
const firewall = { type: 'firewall' };
/** Another network on a bridge of its own. */
const otherBridge = bridgeConf({
  name: 'other',
  bridge: 'other0',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }], [{ subnet: 'fd00:2::/64' }]] },
});

const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const FAMILIES = ['iptables', 'ip6tables'] as const;
const dropForwarded = () => FAMILIES.map((program) => run(program, '-P', 'FORWARD', 'DROP'));
/** Whether an echo request is answered. For addresses that should not answer. */
const pings = (sandbox: Sandbox, address: string) => {
  try {
    sandbox.run('ping', '-c', '1', '-W', '1', '-q', address);
    return true;
  } catch {
    return false;
  }
};
const addressOf = (result: Output, family: 4 | 6) =>
  result.ips?.[family === 4 ? 0 : 1]?.address.replace(/\/.*/, '') ?? 'none';

const RULESET = `table inet netloom {
	comment "made by netloom"
	map forward4 {
		type ipv4_addr : verdict
		comment "endpoints"
		elements = { 10.1.0.2 comment "net/c1/eth0" : jump fw-cni0 }
	}

	map forward6 {
		type ipv6_addr : verdict
		comment "endpoints"
		elements = { fd00:1::2 comment "net/c1/eth0" : jump fw-cni0 }
	}

	set firewall-internal {
		type ifname
		comment "nothing in, nothing out"
		elements = { "cni0" }
	}

	set firewall-fenced {
		type ifname
		comment "nothing from one to another"
		elements = { "cni0" }
	}

	set firewall-isolated {
		type ifname . ifname
		comment "nothing within"
		elements = { "cni0" . "cni0" }
	}

	set firewall-within {
		type ifname . ifname
		comment "what stays behind one interface"
		elements = { "cni0" . "cni0" }
	}

	chain firewall {
		comment "netloom firewall, layout 1"
		type filter hook forward priority filter - 10; policy accept;
		iifname . oifname @firewall-isolated drop
		iifname @firewall-internal iifname . oifname != @firewall-within drop
		oifname @firewall-internal iifname . oifname != @firewall-within drop
		iifname @firewall-fenced oifname @firewall-fenced iifname . oifname != @firewall-within drop
		ip saddr vmap @forward4
		ct state established,related ip daddr vmap @forward4
		ct status dnat ip daddr vmap @forward4
		ip6 saddr vmap @forward6
		ct state established,related ip6 daddr vmap @forward6
		ct status dnat ip6 daddr vmap @forward6
	}

	chain firewall-end {
		comment "netloom firewall, layout 1"
		type filter hook forward priority filter + 10; policy accept;
		meta mark & 0x00001000 == 0x00001000 meta mark set meta mark & 0xffffefff
	}

	chain forwarded {
		comment "netloom firewall, layout 1"
		meta mark set meta mark | 0x00001000
	}

	chain fw-cni0 {
		comment "what is behind cni0"
		jump forwarded
	}
}
`;

const IPTABLES = `-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N CNI-ADMIN
-N NETLOOM-FORWARD
-A FORWARD -m comment --comment netloom -j NETLOOM-FORWARD
-A NETLOOM-FORWARD -m comment --comment "rules of the administrator" -j CNI-ADMIN
-A NETLOOM-FORWARD -m mark --mark 0x1000/0x1000 -m comment --comment "allowed by netloom" -j ACCEPT
`;

const IP_FILTER = `table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		 counter jump NETLOOM-FORWARD
	}

	chain CNI-ADMIN {
		comment "made by netloom"
	}

	chain NETLOOM-FORWARD {
		comment "made by netloom"
		 counter jump CNI-ADMIN
		mark and 0x1000 == 0x1000  counter accept
	}
}
`;

test.serial('the whole ruleset, ours and the one of iptables', (t) => {
  const lab = new Lab(t);
  dropForwarded();
  const chain = new Chain(lab, [bridge, { ...firewall, ingressPolicy: 'isolated', internal: true }]);
  const before = lab.snapshot();
  const target = { sandbox: lab.sandbox('c1') };
  const result = chain.add(target);
  t.is(run('nft', 'list', 'table', 'inet', 'netloom'), RULESET);
  for (const family of ['ip', 'ip6']) {
    // Without the comments of iptables-nft 1.8.9 about its own tables.
    const text = run('nft', 'list', 'table', family, 'filter').replaceAll(/^#.*\n| packets \d+ bytes \d+/gm, '');
    t.is(sortChains(text), sortChains(IP_FILTER.replace('table ip ', `table ${family} `)));
  }
  chain.check(target, result);
  run('ip', 'link', 'del', 'cni0');
  chain.del(target, result);
  t.is(lab.snapshot(), before);
});

/** Sorts chains: nft lists them in the order in which they were made, iptables in an order of its own. */
function sortChains(text: string): string {
  return text
    .split(/\n\n|\n(?=\tchain)|\{\n(?=\tchain)/)
    .map((part) => part.replace(/\n\}\n$/, ''))
    .sort()
    .join('\n');
}

test.serial('iptables lists, saves and restores its tables with our rules in them', (t) => {
  const lab = new Lab(t);
  dropForwarded();
  const chain = new Chain(lab, [bridge, firewall]);
  const target = { sandbox: lab.sandbox('c1') };
  const result = chain.add(target);
  for (const program of FAMILIES) {
    t.is(run(program, '-S'), IPTABLES);
    t.regex(run(program, '-L', '-v', '-n'), /Chain NETLOOM-FORWARD \(1 references\)/);
    const saved = run(`${program}-save`);
    execFileSync(`${program}-restore`, { input: saved });
    t.is(run(program, '-S'), IPTABLES);
  }
  chain.check(target, result);
  // The chain is flushed. The next container's ADD restores the rule.
  run('iptables', '-F', 'FORWARD');
  const { output } = lab.exec('CHECK', { ...bridge, ...firewall, prevResult: result }, target);
  t.regex(output.msg ?? '', /the rules in the chain FORWARD of iptables are not complete/);
  const next = { sandbox: lab.sandbox('c2') };
  const other = chain.add(next);
  chain.check(target, result);
  t.is(run('iptables', '-S'), IPTABLES);
  run('iptables', '-F');
  chain.del(next, other);
  chain.del(target, result);
  t.regex(run('iptables', '-S'), /^-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n(-N CNI-ADMIN\n)?$/);
});

for (const family of [4, 6] as const) {
  test.serial(`a forward policy that drops: containers reach outside, nobody else does, IPv${family}`, (t) => {
    const lab = new Lab(t);
    const outside = addOutside(lab);
    dropForwarded();
    const rules = FAMILIES.map((program) => run(program, '-S')).join();
    const chain = new Chain(lab, [bridge, firewall]);
    const [one, two] = [{ sandbox: lab.sandbox('c1') }, { sandbox: lab.sandbox('c2') }];
    const without = lab.add(bridge, two);
    t.false(pings(two.sandbox, OUTSIDE[family]), 'the policy drops');
    const result = chain.add(one);
    t.true(one.sandbox.reaches(OUTSIDE[family]));
    t.false(pings(outside, addressOf(result, family)), 'only answers come in');
    t.false(pings(two.sandbox, OUTSIDE[family]), 'only those that have the plugin');
    chain.del(one, result);
    t.is(FAMILIES.map((program) => run(program, '-S')).join(), rules);
    lab.del({ ...bridge, prevResult: without }, two);
  });
}

for (const family of [4, 6] as const) {
  const program = family === 4 ? 'iptables-legacy' : 'ip6tables-legacy';
  const saved = () => run(`${program}-save`, '-t', 'filter').replaceAll(/^#.*\n/gm, '');
  const legacy = (t: ExecutionContext) => {
    const lab = new Lab(t);
    addOutside(lab);
    t.teardown(() => {
      run(program, '-P', 'FORWARD', 'ACCEPT');
      run(program, '-F');
      run(program, '-X');
    });
    const chain = new Chain(lab, [bridge, firewall]);
    return { lab, chain, target: { sandbox: lab.sandbox('c1') } };
  };

  test.serial(
    `the legacy iptables that drops: containers reach outside, and its rules stay as they are, IPv${family}`,
    (t) => {
      const { lab, chain, target } = legacy(t);
      const other = { sandbox: lab.sandbox('c2') };
      // Chains that are jumped to, before and behind the rule that is added, and rules of every hook.
      run(program, '-N', 'OWN');
      run(program, '-A', 'INPUT', '-p', 'tcp', '-j', 'OWN');
      run(program, '-A', 'OUTPUT', '-p', 'udp', '--dport', '9', '-j', 'DROP');
      run(program, '-N', 'LAST');
      run(program, '-A', 'OWN', '-p', 'tcp', '--dport', '9', '-j', 'LAST');
      run(program, '-A', 'LAST', '-j', 'RETURN');
      run(program, '-A', 'FORWARD', '-p', 'tcp', '-j', 'OWN', '-c', '7', '900');
      run(program, '-P', 'FORWARD', 'DROP');
      const before = saved();
      const counted = () => run(program, '-L', 'FORWARD', '1', '-v', '-n', '-x').trim().split(/\s+/).slice(0, 2);
      t.deepEqual(counted(), ['7', '900']);
      const result = chain.add(target);
      t.true(target.sandbox.reaches(OUTSIDE[family]));
      const rule = '-A FORWARD -m mark --mark 0x1000/0x1000 -m comment --comment "allowed by netloom" -j ACCEPT\n';
      const within = saved();
      t.is(
        within.replace(/-A FORWARD -m mark.*\n/, '').replaceAll(/\[\d+:\d+\]/g, ''),
        before.replaceAll(/\[\d+:\d+\]/g, ''),
      );
      t.true(within.includes(`-j OWN\n${rule}`), within);
      t.deepEqual(counted(), ['7', '900']);
      // iptables reads and writes it unchanged, and one rule serves all containers.
      const input = run(`${program}-save`, '-c', '-t', 'filter');
      execFileSync(`${program}-restore`, ['-c', '-T', 'filter'], { input });
      t.is(saved().replaceAll(/\[\d+:\d+\]/g, ''), within.replaceAll(/\[\d+:\d+\]/g, ''));
      const second = chain.add(other);
      t.is(saved().split('allowed by netloom').length, 2);
      chain.check(target, result);
      chain.del(target, result);
      t.true(other.sandbox.reaches(OUTSIDE[family]));
      chain.del(other, second);
      t.is(saved().replaceAll(/\[\d+:\d+\]/g, ''), before.replaceAll(/\[\d+:\d+\]/g, ''));
      t.deepEqual(counted(), ['7', '900']);
      t.is(run('nft', 'list', 'ruleset'), '');
    },
  );

  test.serial(
    `the legacy iptables: its rules that drop still do, and a way that is there is enough, IPv${family}`,
    (t) => {
      const { lab, chain, target } = legacy(t);
      const mark = ['-m', 'mark', '--mark', '0x1000/0x1000'];
      const rules = () => run(program, '-S', 'FORWARD');
      const result = chain.add(target);
      t.notRegex(rules(), /netloom/, 'nothing is in the way');
      run(program, '-P', 'FORWARD', 'DROP');
      const { output } = lab.exec('CHECK', { ...bridge, ...firewall, prevResult: result }, target);
      t.regex(output.msg ?? '', new RegExp(`the legacy iptables drops what the container sends by IPv${family}$`));
      const add = () => lab.add({ ...bridge, ...firewall, prevResult: result }, target);
      // A rule in a chain of the administrator's counts, too, and stays.
      run(program, '-N', 'OWN');
      run(program, '-A', 'OWN', ...mark, '-j', 'ACCEPT');
      run(program, '-A', 'FORWARD', '-j', 'OWN');
      const before = rules();
      add();
      t.is(rules(), before);
      t.true(target.sandbox.reaches(OUTSIDE[family]));
      chain.del(target, result);
      t.is(rules(), before);
      run(program, '-F', 'FORWARD');
      run(program, '-F', 'OWN');
      // Similar rules that accept none of our packets, or that are never reached.
      run(program, '-A', 'FORWARD', '-m', 'mark', '!', '--mark', '0x1000/0x1000', '-j', 'ACCEPT', '-p', 'udp');
      run(program, '-A', 'INPUT', ...mark, '-j', 'ACCEPT');
      for (const narrow of [
        ['-i', 'lo'],
        ['-o', 'lo'],
        ['-p', 'udp'],
        ['-s', OUTSIDE[family]],
      ])
        run(program, '-A', 'FORWARD', ...narrow, ...mark, '-j', 'ACCEPT');
      run(program, '-A', 'FORWARD', '-d', OUTSIDE[family], '-j', 'DROP');
      const again = chain.add(target);
      t.regex(rules(), /"allowed by netloom" -j ACCEPT\n$/);
      t.false(pings(target.sandbox, OUTSIDE[family]), 'a rule that drops comes first');
      chain.del(target, again);
      t.notRegex(rules(), /netloom/);
    },
  );
}

test.serial(
  'forty processes at once beside a legacy iptables that drops: its rule is there once, and then gone',
  async (t) => {
    const lab = new Lab(t);
    run('ip', 'link', 'add', 'cni0', 'type', 'bridge');
    const netns = lab.sandbox('all').path;
    run('iptables-legacy', '-P', 'FORWARD', 'DROP');
    t.teardown(() => run('iptables-legacy', '-P', 'FORWARD', 'ACCEPT'));
    const before = run('iptables-legacy', '-S');
    const conf = (i: number): Json => ({
      cniVersion: '1.1.0',
      name: 'net',
      ...firewall,
      prevResult: { cniVersion: '1.1.0', interfaces: [{ name: 'cni0' }], ips: [{ address: `10.1.0.${i + 2}/24` }] },
    });
    const ends = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const ran = [];
        for (const command of ['ADD', 'CHECK', 'DEL'])
          ran.push(await lab.start(command, conf(i), { containerId: `c${i}`, netns }));
        return ran.filter(({ status, stderr }) => status !== 0 || stderr !== '').map((end) => end.stdout + end.stderr);
      }),
    );
    t.deepEqual(ends.flat(), []);
    t.is(run('iptables-legacy', '-S'), before);
  },
);

test.serial('whoever waits in vain for the lock of iptables is told to try again, and the next try finishes', (t) => {
  const lab = new Lab(t);
  const target = { sandbox: lab.sandbox('c1') };
  const conf = { ...bridge, ...firewall, prevResult: lab.add(bridge, target) };
  const rules = () => run('iptables-legacy', '-S');
  run('iptables-legacy', '-P', 'FORWARD', 'DROP');
  t.teardown(() => run('iptables-legacy', '-P', 'FORWARD', 'ACCEPT'));
  // Use a lock of this test's own. The machine's is shared with everything that runs beside it.
  writeFileSync(`${lab.root}/lock`, '');
  run('mount', '--bind', `${lab.root}/lock`, '/run/xtables.lock');
  t.teardown(() => run('umount', '/run/xtables.lock'));
  const before = rules();
  const inVain = (command: string) => {
    const { status, output } = lab.exec(command, conf, target, { wrap: ['flock', '/run/xtables.lock'] });
    t.is(status, 1);
    t.is(output.code, 11);
    t.regex(output.msg ?? '', /"\/run\/xtables.lock"/);
  };
  inVain('ADD');
  t.is(run('nft', 'list', 'ruleset'), '', 'nothing is left of it');
  lab.add(conf, target);
  t.regex(rules(), /netloom/);
  inVain('DEL');
  lab.del(conf, target);
  t.is(rules(), before);
  t.is(run('nft', 'list', 'ruleset'), '');
});

test.serial('a runtime that may not change the legacy iptables attaches containers all the same, and is told', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const prevResult = lab.add(bridge, { sandbox });
  run('iptables-legacy', '-P', 'FORWARD', 'DROP');
  t.teardown(() => run('iptables-legacy', '-P', 'FORWARD', 'ACCEPT'));
  const wrap = ['setpriv', '--bounding-set=-net_raw'];
  // Without an agent, which would have the right to change it.
  const options = { wrap, bin: standaloneOnly(lab) };
  const conf = { ...bridge, ...firewall, prevResult };
  const { status, stderr } = lab.exec('ADD', conf, { sandbox }, options);
  t.is(status, 0);
  t.regex(
    stderr,
    /^firewall: The legacy iptables of this host may drop what this container sends by IPv4, .*EPERM.* Where its policy is to drop: iptables-legacy -I FORWARD -m mark --mark 0x1000\/0x1000 -j ACCEPT\n/,
  );
  lab.del(conf, { sandbox }, options);
});

test.serial('who asks for the back end firewalld is told what to tell firewalld, where that runs', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const prevResult = lab.add(bridge, { sandbox });
  const add = (more: Json) => {
    const { status, stderr } = lab.exec('ADD', { ...bridge, ...firewall, prevResult, ...more }, { sandbox });
    t.is(status, 0);
    return stderr;
  };
  t.is(add({ backend: 'firewalld' }), '');
  run('nft', 'add', 'table', 'inet', 'firewalld');
  t.is(add({}), '');
  const sources = '--add-source=10.1.0.0/24 --add-source=fd00:1::/64';
  for (const [more, zone] of [
    [{}, 'trusted'],
    [{ firewalldZone: 'pods' }, 'pods'],
  ] as const) {
    t.is(
      add({ backend: 'firewalld', ...more }),
      `firewall: "backend" is "firewalld", and netloom puts no address into a zone. Put the network there: firewall-cmd --permanent --zone=${zone} ${sources} && firewall-cmd --reload\n`,
    );
  }
});

test.serial('the mark is gone behind the forward hook', (t) => {
  const lab = new Lab(t);
  addOutside(lab);
  run('nft', 'add table inet probe; add chain inet probe c { type filter hook postrouting priority 300; }');
  run('nft', 'add rule inet probe c meta mark & 0x1000 == 0x1000 counter');
  const target = { sandbox: lab.sandbox('c1') };
  new Chain(lab, [bridge, firewall]).add(target);
  t.true(target.sandbox.reaches(OUTSIDE[4]));
  t.regex(run('nft', 'list', 'table', 'inet', 'probe'), /counter packets 0 /);
});

test.serial('a port that is published is reached from outside, whatever the forward policy', (t) => {
  const lab = new Lab(t);
  const outside = addOutside(lab);
  dropForwarded();
  const target = { sandbox: lab.sandbox('c1') };
  const result = new Chain(lab, [bridge, firewall]).add(target);
  run('nft', 'add table ip probe; add chain ip probe c { type nat hook prerouting priority dstnat; }');
  run('nft', `add rule ip probe c ip daddr 192.0.2.1 dnat to ${addressOf(result, 4)}`);
  t.true(outside.reaches('192.0.2.1'));
});

test.serial("the administrator's chain is asked first, whatever its name", (t) => {
  const lab = new Lab(t);
  addOutside(lab);
  run('iptables', '-N', 'MY-RULES');
  run('iptables', '-A', 'MY-RULES', '-d', OUTSIDE[4], '-j', 'DROP');
  const chain = new Chain(lab, [bridge, { ...firewall, iptablesAdminChainName: 'MY-RULES' }]);
  const target = { sandbox: lab.sandbox('c1') };
  const result = chain.add(target);
  t.false(pings(target.sandbox, OUTSIDE[4]));
  t.true(target.sandbox.reaches(OUTSIDE[6]));
  chain.check(target, result);
  chain.del(target, result);
  t.regex(run('iptables', '-S'), /-A MY-RULES -d 192.0.2.2\/32 -j DROP/);
  t.notRegex(run('iptables', '-S'), /NETLOOM/);
});

interface Reach {
  readonly policy: Json;
  readonly neighbour: boolean;
  readonly otherNetwork: boolean;
  readonly outside: boolean;
}

const REACHES: readonly Reach[] = [
  { policy: { ingressPolicy: 'open' }, neighbour: true, otherNetwork: true, outside: true },
  { policy: { ingressPolicy: 'same-bridge' }, neighbour: true, otherNetwork: false, outside: true },
  { policy: { ingressPolicy: 'isolated' }, neighbour: false, otherNetwork: false, outside: true },
  { policy: { internal: true }, neighbour: true, otherNetwork: false, outside: false },
];

for (const { policy, neighbour, otherNetwork, outside: reachesOutside } of REACHES) {
  test.serial(`${JSON.stringify(policy)}: who reaches whom, by IPv4 and IPv6`, (t) => {
    const lab = new Lab(t);
    const outside = addOutside(lab);
    const chain = new Chain(lab, [bridge, { ...firewall, ...policy }]);
    const otherChain = new Chain(lab, [otherBridge, { ...firewall, ...policy }]);
    const [one, two, three] = [lab.sandbox('c1'), lab.sandbox('c2'), lab.sandbox('c3')];
    const first = chain.add({ sandbox: one });
    const second = chain.add({ sandbox: two });
    const third = otherChain.add({ sandbox: three });
    for (const family of [4, 6] as const) {
      const reaches = (from: Sandbox, address: string, wanted: boolean) =>
        t.is(wanted ? from.reaches(address) : pings(from, address), wanted, `${from.name} to ${address}`);
      reaches(one, addressOf(second, family), neighbour);
      reaches(one, addressOf(third, family), otherNetwork);
      reaches(one, OUTSIDE[family], reachesOutside);
      reaches(outside, addressOf(first, family), reachesOutside); // no forward policy drops it
      reaches(one, family === 4 ? '10.1.0.1' : 'fd00:1::1', true);
    }
    // A source address that was not assigned to it does not help.
    if (!reachesOutside) {
      one.run('ip', 'addr', 'add', '10.1.0.99/24', 'dev', 'eth0');
      t.throws(() => one.run('ping', '-c', '1', '-W', '1', '-I', '10.1.0.99', OUTSIDE[4]));
    }
    chain.check({ sandbox: one }, first);
    chain.del({ sandbox: one }, first);
    chain.check({ sandbox: two }, second);
    chain.del({ sandbox: two });
    otherChain.check({ sandbox: three }, third);
    otherChain.del({ sandbox: three }, third);
    t.is(run('nft', 'list', 'ruleset'), '');
  });
}

test.serial('networks share a bridge: what one asks for holds until its last container is gone', (t) => {
  const lab = new Lab(t);
  const open = new Chain(lab, [bridge, firewall]);
  const runtimeConfig = { ips: ['10.1.0.77', 'fd00:1::77'] };
  const strict = new Chain(lab, [bridgeConf({ name: 'strict', ipam, runtimeConfig }), { ...firewall, internal: true }]);
  addOutside(lab);
  const [one, two] = [{ sandbox: lab.sandbox('c1') }, { sandbox: lab.sandbox('c2') }];
  const first = open.add(one);
  t.true(one.sandbox.reaches(OUTSIDE[4]));
  const second = strict.add(two);
  t.false(pings(one.sandbox, OUTSIDE[4]));
  strict.del(two, second);
  t.true(one.sandbox.reaches(OUTSIDE[4]));
  open.del(one, first);
  t.is(run('nft', 'list', 'ruleset'), '');
});

test.serial('CHECK names what is missing', (t) => {
  const lab = new Lab(t);
  const conf = { ...bridge, ...firewall, ingressPolicy: 'isolated' };
  const sandbox = lab.sandbox('c1');
  const prevResult = new Chain(lab, [bridge, conf]).add({ sandbox });
  const check = () => lab.exec('CHECK', { ...conf, prevResult }, { sandbox }).output.msg ?? '';
  const port = prevResult.interfaces?.[1]?.name ?? '';
  run('ip', 'link', 'set', port, 'type', 'bridge_slave', 'isolated', 'off');
  t.regex(check(), /the port "veth\w+" is not isolated from the others of its bridge$/);
  run('ip', 'link', 'set', port, 'type', 'bridge_slave', 'isolated', 'on');
  t.is(check(), '');
  run('nft', 'delete element inet netloom firewall-fenced { "cni0" }');
  t.regex(check(), /"cni0" is not held back as configured/);
  run('nft', 'delete element inet netloom forward6 { fd00:1::2 }');
  t.regex(check(), /fd00:1::2 is not allowed to be forwarded/);
  run('nft', 'flush ruleset');
  t.regex(check(), /10.1.0.2 is not allowed to be forwarded; "cni0" is not held back as configured; the address fd00/);
});

test.serial('DEL succeeds twice, without ADD, without the namespace, without prevResult, and leaves nothing', (t) => {
  const lab = new Lab(t);
  dropForwarded();
  const chain = new Chain(lab, [bridge, { ...firewall, ingressPolicy: 'same-bridge' }]);
  const target = { sandbox: lab.sandbox('c1') };
  chain.del(target);
  chain.add({ sandbox: lab.sandbox('neighbour') });
  const state = () => lab.snapshot().replaceAll(/packets \d+ bytes \d+/g, '');
  const before = state();
  for (const keepsResult of [true, false]) {
    const result = chain.add(target);
    const gone = { ...target, netns: '' };
    for (let i = 0; i < 2; i++) {
      chain.del(gone, keepsResult ? result : undefined);
      t.is(state(), before);
    }
  }
});

test.serial('DEL with another configuration, or with a result that does not name the addresses', (t) => {
  const lab = new Lab(t);
  const strict = { ...firewall, ingressPolicy: 'isolated', internal: true };
  const chain = new Chain(lab, [bridge, strict]);
  const target = { sandbox: lab.sandbox('c1') };
  const result = chain.add(target);
  const isolated = lab.snapshot();
  for (const [conf, prevResult] of [
    [{ ...strict, ingressPolicy: 'of a later version' }, result],
    [firewall, result],
    [firewall, { cniVersion: '1.1.0' }],
  ] as const) {
    lab.del({ cniVersion: '1.1.0', name: 'net', ...conf, prevResult }, target);
    t.is(run('nft', 'list', 'ruleset'), '');
    lab.add({ cniVersion: '1.1.0', name: 'net', ...strict, prevResult: result }, target);
    t.is(lab.snapshot(), isolated);
  }
});

test.serial('GC removes exactly what is not listed, of its network', (t) => {
  const lab = new Lab(t);
  const chain = new Chain(lab, [bridge, { ...firewall, internal: true }]);
  const otherChain = new Chain(lab, [otherBridge, { ...firewall, internal: true }]);
  const before = run('nft', 'list', 'ruleset');
  const kept = otherChain.add({ sandbox: lab.sandbox('keep') });
  const between = lab.snapshot();
  for (const name of ['a', 'b']) chain.add({ sandbox: lab.sandbox(name) });
  chain.gc([]);
  run('ip', 'link', 'del', 'cni0');
  t.is(lab.snapshot(), between);
  otherChain.gc([{ containerID: 'keep', ifname: 'eth0' }]);
  t.is(lab.snapshot(), between);
  otherChain.check({ containerId: 'keep', netns: `${lab.root}/netns/keep` }, kept);
  otherChain.gc([]);
  t.is(run('nft', 'list', 'ruleset'), before);
});

test.serial('STATUS is well, or says that the kernel has no nf_tables', (t) => {
  const lab = new Lab(t);
  const conf = { ...bridge, ...firewall };
  t.is(lab.exec('STATUS', conf).status, 0);
  const { output } = lab.exec('STATUS', conf, {}, { wrap: WITHOUT_NETLINK });
  t.is(output.code, 50);
});

test.serial('a rule of somebody else that jumps to ours does not keep a container from going', (t) => {
  const lab = new Lab(t);
  dropForwarded();
  const chain = new Chain(lab, [bridge, firewall]);
  const target = { sandbox: lab.sandbox('c1') };
  const result = chain.add(target);
  const before = run('iptables', '-S');
  run('iptables', '-N', 'THEIRS');
  run('iptables', '-A', 'THEIRS', '-j', 'NETLOOM-FORWARD');
  chain.del(target, result);
  t.regex(run('iptables', '-S'), /-A THEIRS -j NETLOOM-FORWARD/);
  run('iptables', '-F', 'THEIRS');
  run('iptables', '-X', 'THEIRS');
  t.is(run('iptables', '-S'), before);
  chain.del(target, result);
  t.notRegex(run('nft', 'list', 'ruleset'), /netloom/i);
});

const refused: readonly (readonly [string, Json, RegExp])[] = [
  ['no prevResult', { prevResult: undefined }, /"prevResult" is missing/],
  [
    'an unknown policy',
    { ingressPolicy: 'closed' },
    /"ingressPolicy" is "closed", expected open, same-bridge, isolated/,
  ],
  ['a chain of iptables', { iptablesAdminChainName: 'FORWARD' }, /"iptablesAdminChainName" is "FORWARD", expected/],
  ['a name that is none', { iptablesAdminChainName: '-x y' }, /"iptablesAdminChainName" is "-x y", expected/],
  ['a name that is too long', { iptablesAdminChainName: 'A'.repeat(29) }, /"iptablesAdminChainName" is "A+", expected/],
  ['internal as text', { internal: 'yes' }, /"internal" is "yes", expected true or false/],
  [
    'nothing on the host to hold back at',
    { internal: true },
    /"internal" is true, but no plugin before has an interface/,
  ],
  [
    'nor for a policy',
    { ingressPolicy: 'isolated' },
    /"ingressPolicy" is "isolated", but no plugin before has an interface/,
  ],
];

for (const [title, more, says] of refused) {
  test.serial(`refused: ${title}`, (t) => {
    const lab = new Lab(t);
    const before = lab.snapshot();
    const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.2/24' }] };
    const { status, output } = lab.exec(
      'ADD',
      { cniVersion: '1.1.0', name: 'net', ...firewall, prevResult, ...more },
      { sandbox: lab.sandbox('c1') },
    );
    t.is(status, 1);
    t.is(output.code, 7);
    t.regex(output.msg ?? '', says);
    t.is(lab.snapshot(), before);
  });
}

test.serial('an address of another network is refused by the name of its holder', (t) => {
  const lab = new Lab(t);
  run('ip', 'link', 'add', 'cni0', 'type', 'bridge');
  const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'cni0' }], ips: [{ address: '10.1.0.2/24' }] };
  const conf = { cniVersion: '1.1.0', name: 'net', ...firewall, prevResult };
  lab.add(conf, { sandbox: lab.sandbox('c1') });
  const before = lab.snapshot();
  const strict = { ...conf, name: 'strict', internal: true };
  const { output } = lab.exec('ADD', strict, { sandbox: lab.sandbox('c2') });
  t.is(output.msg, 'Cannot allow 10.1.0.2 of "strict/c2/eth0" to be forwarded: EEXIST, "net/c1/eth0" has the address');
  t.is(lab.snapshot(), before);
});

test.serial('forty processes at once, adding and deleting: the last one out leaves nothing', async (t) => {
  const lab = new Lab(t);
  dropForwarded();
  run('ip', 'link', 'add', 'cni0', 'type', 'bridge');
  const netns = lab.sandbox('all').path;
  const before = lab.snapshot();
  const conf = (i: number): Json => ({
    cniVersion: '1.1.0',
    name: 'net',
    ...firewall,
    ingressPolicy: i % 2 === 0 ? 'open' : 'same-bridge',
    prevResult: { cniVersion: '1.1.0', interfaces: [{ name: 'cni0' }], ips: [{ address: `10.1.0.${i + 2}/24` }] },
  });
  const ends = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const target = { containerId: `c${i}`, netns };
      const added = await lab.start('ADD', conf(i), target);
      const checked = await lab.start('CHECK', conf(i), target);
      const deleted = await lab.start(
        'DEL',
        i % 3 === 0 ? after({ ...conf(i), prevResult: undefined }, undefined) : conf(i),
        target,
      );
      return [added, checked, deleted].filter(({ status }) => status !== 0).map(({ stdout }) => stdout);
    }),
  );
  t.deepEqual(ends.flat(), []);
  t.is(lab.snapshot(), before);
  t.is(ip('link', 'show', 'cni0').length, 1);
});
