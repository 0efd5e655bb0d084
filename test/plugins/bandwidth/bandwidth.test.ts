/** bandwidth as a container runtime executes it, after bridge or ptp. The judges are `tc` and the measured rate. */
import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { becomeHost, ip, type Sandbox } from '../../support/host.ts';
import { bridgeConf, type Json, Lab, type Output, REFERENCE } from '../../support/lab.ts';
import { PATIENCE } from '../../support/patience.ts';
import { bestFlow, flow, type Place } from './flow.ts';

becomeHost();

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
const bridge = bridgeConf({ ipam });
const bandwidth = (more: Json = {}): Json => ({ cniVersion: '1.1.0', name: 'net', type: 'bandwidth', ...more });
const BURST = 400_000;
const RATE = 20_000_000;
const both = { ingressRate: RATE, ingressBurst: BURST, egressRate: 2 * RATE, egressBurst: BURST };

interface Container {
  readonly sandbox: Sandbox;
  readonly prevResult: Output;
  /** The name of the veth end on the host. */
  readonly end: string;
}

function attached(lab: Lab, name = 'c1', conf: Json = bridge): Container {
  const sandbox = lab.sandbox(name);
  const prevResult = lab.add(conf, { sandbox });
  return { sandbox, prevResult, end: prevResult.interfaces?.[conf['type'] === 'ptp' ? 0 : 1]?.name ?? '' };
}

const tc = (...args: string[]) => execFileSync('tc', args, { encoding: 'utf8' });
const root = (link: string) => tc('-d', 'qdisc', 'show', 'dev', link, 'root').trim();
const ifbOf = (result: Output) => result.interfaces?.at(-1)?.name ?? '';

test.serial(
  'both directions: a token bucket at the host end and at an ifb, told of in the result; DEL takes all away',
  (t) => {
    const lab = new Lab(t);
    const { sandbox, prevResult, end } = attached(lab);
    const before = lab.snapshot();
    const conf = bandwidth(both);
    const result = lab.add({ ...conf, prevResult }, { sandbox });
    const ifb = ifbOf(result);
    const [shown] = ip<{ address: string; mtu: number; ifalias: string; flags: string[]; txqlen: number }>(
      'link',
      'show',
      ifb,
    );
    t.like(shown, { mtu: 1500, ifalias: 'netloom:net/c1/eth0', txqlen: 1000 });
    t.true(shown?.flags.includes('UP'));
    t.deepEqual(result, {
      ...prevResult,
      interfaces: [...(prevResult.interfaces ?? []), { name: ifb, mac: shown?.address ?? '', mtu: 1500 }],
    });
    t.regex(root(end), /^qdisc tbf 1: .*rate 20Mbit burst 50000b.* lat 25ms/);
    t.regex(root(ifb), /^qdisc tbf 1: .*rate 40Mbit burst 50000b/);
    t.regex(
      tc('filter', 'show', 'dev', end, 'ingress'),
      new RegExp(
        `match 00000000/00000000 at 0\\s+action order 1: mirred \\(Egress Redirect to device ${ifb}\\) stolen`,
      ),
    );
    lab.check(conf, { sandbox }, result);
    lab.check(bridge, { sandbox }, result);
    lab.del({ ...conf, prevResult: result }, { sandbox });
    t.is(lab.snapshot(), before);
    lab.del(conf, { sandbox });
    t.is(lab.snapshot(), before);
    t.true(sandbox.reaches('10.1.0.1'));
  },
);

/** The rate is reached and not exceeded. Bytes are TCP payload: headers take 4 percent of a frame. */
async function isLimited(t: ExecutionContext, from: Place, to: Place, address: string, rate: number): Promise<void> {
  const rates = await bestFlow(0.9 * rate, () => flow(from, to, address, BURST));
  t.log(`${address}: ${rates.map((each) => (each / 1e6).toFixed(2)).join(', ')} Mbit/s of ${rate / 1e6}`);
  t.true(Math.max(...rates) <= 1.1 * rate, `${rates}`);
  t.true(Math.max(...rates) >= 0.9 * rate, `${rates}`);
}

for (const [title, conf] of [
  ['bridge', bridge],
  ['ptp', { ...bridge, type: 'ptp', ipMasq: false }],
] as const) {
  test.serial(`the rates measured are within 10 percent, after ${title}, by IPv4 and IPv6`, async (t) => {
    t.timeout(PATIENCE);
    const lab = new Lab(t);
    const { sandbox, prevResult } = attached(lab, 'c1', conf);
    lab.add({ ...bandwidth(both), prevResult }, { sandbox });
    await isLimited(t, 'host', sandbox, '10.1.0.2', RATE);
    await isLimited(t, sandbox, 'host', '10.1.0.1', 2 * RATE);
    if (title === 'ptp') return;
    await isLimited(t, 'host', sandbox, 'fd00::2', RATE);
    await isLimited(t, sandbox, 'host', 'fd00::1', 2 * RATE);
  });
}

for (const areShaped of [true, false]) {
  const key = areShaped ? 'shapedSubnets' : 'unshapedSubnets';
  test.serial(
    `${key}: peers of the subnet are ${areShaped ? 'limited' : 'not limited'}, others the other way round, both ways`,
    async (t) => {
      t.timeout(PATIENCE);
      const lab = new Lab(t);
      const { sandbox, prevResult, end } = attached(lab);
      const other = attached(lab, 'c2');
      const before = lab.snapshot();
      // The subnets contain the gateway of each family, but not the other container.
      const conf = bandwidth({ ...both, [key]: ['10.1.0.1/32', 'fd00::1/128'] });
      const result = lab.add({ ...conf, prevResult }, { sandbox });
      const ifb = ifbOf(result);
      for (const link of [end, ifb])
        t.regex(root(link), new RegExp(`^qdisc htb 1: .*default ${areShaped ? '0x1' : '0x30'} `));
      t.regex(tc('filter', 'show', 'dev', end, 'parent', '1:'), /match 0a010001\/ffffffff at 12/);
      t.regex(tc('filter', 'show', 'dev', ifb, 'parent', '1:'), /match 0a010001\/ffffffff at 16/);
      lab.check(conf, { sandbox }, result);
      const [limited, open] = areShaped
        ? ([
            ['host', '10.1.0.1'],
            [other.sandbox, '10.1.0.3'],
          ] as const)
        : ([
            [other.sandbox, '10.1.0.3'],
            ['host', '10.1.0.1'],
          ] as const);
      await isLimited(t, limited[0], sandbox, '10.1.0.2', RATE);
      await isLimited(t, sandbox, limited[0], limited[1], 2 * RATE);
      const fast = await bestFlow(4 * RATE, () => flow(open[0], sandbox, '10.1.0.2', BURST, 500));
      t.true(Math.max(...fast) > 4 * RATE, `${fast}`);
      const fastBack = await bestFlow(8 * RATE, () => flow(sandbox, open[0], open[1], BURST, 500));
      t.true(Math.max(...fastBack) > 8 * RATE, `${fastBack}`);
      if (areShaped) await isLimited(t, 'host', sandbox, 'fd00::2', RATE);
      lab.del({ ...conf, prevResult: result }, { sandbox });
      t.is(lab.snapshot(), before);
    },
  );
}

test.serial('64 bits: rates above 2^32 bytes a second, and the longest burst', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult, end } = attached(lab);
  const wide = { ingressRate: 50e9, ingressBurst: 34_359_738_000, egressRate: 100e9, egressBurst: 8e6 };
  for (const more of [{}, { unshapedSubnets: ['10.9.0.0/16', 'fd09::/16'] }]) {
    const conf = bandwidth({ ...wide, ...more });
    const result = lab.add({ ...conf, prevResult }, { sandbox });
    const shown = (link: string) => `${root(link)}\n${tc('class', 'show', 'dev', link)}`;
    t.regex(shown(end), /rate 50Gbit/);
    t.regex(shown(ifbOf(result)), /rate 100Gbit/);
    lab.check(conf, { sandbox }, result);
    lab.del({ ...conf, prevResult: result }, { sandbox });
  }
  // A burst that takes longer than 274 s at its rate.
  const slow = bandwidth({ ingressRate: 1e6, ingressBurst: 2 ** 31 - 1, egressRate: 1e6, egressBurst: 2 ** 31 - 1 });
  const result = lab.add({ ...slow, prevResult }, { sandbox });
  lab.check(slow, { sandbox }, result);
  t.regex(root(end), /rate 1Mbit/);
});

// https://github.com/kubernetes/kubernetes/issues/90838
for (const [runtime, burst] of [
  ['the kubelet', 2 ** 31 - 1],
  ['containerd', 2 ** 32 - 1],
  ['CRI-O', (2 ** 32 - 1) * 8 - 1],
] as const) {
  test.serial(`a rate without a burst, as ${runtime} says it: limited from the first bytes on`, async (t) => {
    t.timeout(PATIENCE);
    const lab = new Lab(t);
    const { sandbox, prevResult } = attached(lab);
    const limits = { ingressRate: RATE, ingressBurst: burst, egressRate: 2 * RATE, egressBurst: burst };
    const conf = bandwidth({ runtimeConfig: { bandwidth: limits } });
    const result = lab.add({ ...conf, prevResult }, { sandbox });
    lab.check(conf, { sandbox }, result);
    await isLimited(t, 'host', sandbox, '10.1.0.2', RATE);
    await isLimited(t, sandbox, 'host', '10.1.0.1', 2 * RATE);
  });
}

test.serial('a rate without a burst: what passes in a tenth of a second at once, and 64 KiB of a low one', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult, end } = attached(lab);
  const unstated = { ingressBurst: 2 ** 32 - 1, egressBurst: 2 ** 32 - 1 };
  const bandwidthOf = { ingressRate: 8e6, egressRate: 1e6, ...unstated };
  const result = lab.add({ ...bandwidth({ runtimeConfig: { bandwidth: bandwidthOf } }), prevResult }, { sandbox });
  t.regex(root(end), /rate 8Mbit burst 100000b/);
  t.regex(root(ifbOf(result)), /rate 1Mbit burst 64Kb/);
});

test.serial('runtimeConfig limits where the configuration does not, and not where it does', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult, end } = attached(lab);
  const runtimeConfig = { bandwidth: { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 2e6, egressBurst: 1e6 } };
  const asked = bandwidth({ runtimeConfig });
  const result = lab.add({ ...asked, prevResult }, { sandbox });
  t.regex(root(end), /rate 1Mbit/);
  t.regex(root(ifbOf(result)), /rate 2Mbit/);
  lab.del({ ...asked, prevResult: result }, { sandbox });
  const fixed = bandwidth({ ingressRate: 3e6, ingressBurst: 1e6, runtimeConfig });
  t.deepEqual(lab.add({ ...fixed, prevResult }, { sandbox }), prevResult);
  t.regex(root(end), /rate 3Mbit/);
});

test.serial('subnets of the configuration hold for limits of runtimeConfig, unless that names some itself', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult, end } = attached(lab);
  const limits = { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 2e6, egressBurst: 1e6 };
  for (const [own, asked, address, byDefault] of [
    [{ unshapedSubnets: ['10.8.0.0/16'] }, {}, '0a080000/ffff0000', '0x30'],
    [{ unshapedSubnets: ['10.8.0.0/16'] }, { shapedSubnets: ['10.9.0.0/16'] }, '0a090000/ffff0000', '0x1'],
  ] as const) {
    const conf = bandwidth({ ...own, runtimeConfig: { bandwidth: { ...limits, ...asked } } });
    const result = lab.add({ ...conf, prevResult }, { sandbox });
    for (const [link, rate, at] of [
      [end, '1Mbit', 12],
      [ifbOf(result), '2Mbit', 16],
    ] as const) {
      t.regex(root(link), new RegExp(`^qdisc htb 1: .*default ${byDefault} `));
      t.regex(tc('class', 'show', 'dev', link, 'classid', '1:30'), new RegExp(`rate ${rate} `));
      const filters = tc('filter', 'show', 'dev', link, 'parent', '1:');
      t.deepEqual(filters.match(/match .*/g), [`match ${address} at ${at}`]);
    }
    lab.check(conf, { sandbox }, result);
    lab.del({ ...conf, prevResult: result }, { sandbox });
  }
  // Subnets without a rate limit nothing.
  const conf = bandwidth({ shapedSubnets: ['10.8.0.0/16'] });
  t.deepEqual(lab.add({ ...conf, prevResult }, { sandbox }), prevResult);
});

test.serial('nothing to limit: the result passes, and nothing changes', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const before = lab.snapshot();
  const conf = bandwidth({ capabilities: { bandwidth: true } });
  t.deepEqual(lab.add({ ...conf, prevResult }, { sandbox }), prevResult);
  lab.check(conf, { sandbox }, prevResult);
  lab.del(conf, { sandbox });
  t.is(lab.snapshot(), before);
});

interface Bad {
  readonly conf: Json;
  readonly says: RegExp;
}

const bad: readonly Bad[] = [
  {
    conf: { ingressRate: 5000 },
    says: /"ingressRate" is 5000 without a "ingressBurst": if rate is set, burst must also be set/,
  },
  {
    conf: { egressBurst: 5000 },
    says: /"egressBurst" is 5000 without a "egressRate": if burst is set, rate must also be set/,
  },
  { conf: { ingressRate: 7, ingressBurst: 5000 }, says: /"ingressRate" is 7, expected at least 8 bits a second/ },
  { conf: { ingressRate: 8000, ingressBurst: 7 }, says: /"ingressBurst" is 7, expected at least 8 bits/ },
  {
    conf: { egressRate: 8e9, egressBurst: 34_359_738_360 },
    says: /"egressBurst" is 34359738360, .* burst cannot be more than 4GB/,
  },
  { conf: { ingressRate: -1, ingressBurst: 5 }, says: /"ingressRate" is -1, expected a whole number from 0/ },
  { conf: { ingressRate: 1.5, ingressBurst: 5 }, says: /"ingressRate" is 1.5/ },
  { conf: { ingressRate: '20M', ingressBurst: 5 }, says: /"ingressRate" is "20M"/ },
  {
    conf: { ...both, shapedSubnets: ['10.1.2.3/16'] },
    says: /"shapedSubnets\[0\]" is "10.1.2.3\/16", expected a subnet without host bits/,
  },
  {
    conf: { ...both, unshapedSubnets: ['10.1.0.0'] },
    says: /"unshapedSubnets\[0\]" is "10.1.0.0", expected an address with a prefix/,
  },
  { conf: { ...both, shapedSubnets: '10.1.0.0/16' }, says: /"shapedSubnets" is "10.1.0.0\/16", expected a list/ },
  {
    conf: { ...both, shapedSubnets: ['10.1.0.0/16'], unshapedSubnets: ['10.2.0.0/16'] },
    says: /"shapedSubnets" and "unshapedSubnets" cannot be both specified/,
  },
  {
    conf: { runtimeConfig: { bandwidth: { egressRate: 5000 } } },
    says: /"runtimeConfig.bandwidth.egressRate" is 5000 without/,
  },
];

for (const { conf, says } of bad) {
  test.serial(`refused, and nothing changes: ${JSON.stringify(conf)}`, (t) => {
    const lab = new Lab(t);
    const { sandbox, prevResult } = attached(lab);
    const before = lab.snapshot();
    const { status, output } = lab.exec('ADD', { ...bandwidth(conf), prevResult }, { sandbox });
    t.is(status, 1);
    t.is(output.code, 7, output.msg);
    t.regex(output.msg ?? '', says);
    t.is(lab.snapshot(), before);
    t.is(lab.exec('STATUS', bandwidth(conf)).output.code, 7);
  });
}

test.serial('without prevResult, where the reference crashes, and without a veth: an error says so', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  for (const command of ['ADD', 'CHECK']) {
    const alone = lab.exec(command, bandwidth(both), { sandbox });
    t.is(alone.output.code, 7, alone.stderr);
    t.regex(alone.output.msg ?? '', /"prevResult" is missing/);
  }
  const other = lab.exec('ADD', { ...bandwidth(both), prevResult }, { sandbox, ifname: 'lo' });
  t.is(other.output.code, 112);
  t.regex(other.output.msg ?? '', /Cannot limit "lo": it is not the end of a veth/);
  const foreign = { ...prevResult, interfaces: prevResult.interfaces?.slice(2) ?? [] };
  t.is(lab.exec('ADD', { ...bandwidth(both), prevResult: foreign }, { sandbox }).output.code, 112);
});

test.serial('a queueing discipline that somebody else has put there: refused, and it stays, through DEL too', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult, end } = attached(lab);
  for (const command of [`add dev ${end} root handle 7: htb`, `add dev ${end} clsact`]) {
    tc('qdisc', ...command.split(' '));
    const before = lab.snapshot();
    const { output } = lab.exec('ADD', { ...bandwidth(both), prevResult }, { sandbox });
    t.is(output.code, 111, output.msg);
    t.regex(output.msg ?? '', /it has the queueing discipline (htb|clsact) already/);
    lab.del(bandwidth(both), { sandbox });
    t.is(lab.snapshot(), before);
    tc('qdisc', 'del', 'dev', end, command.includes('clsact') ? 'clsact' : 'root');
  }
});

test.serial('a burst shorter than a frame is told of on stderr', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const short = bandwidth({ ingressRate: 123_000, ingressBurst: 456 });
  const { status, stderr } = lab.exec('ADD', { ...short, prevResult }, { sandbox });
  t.is(status, 0);
  t.regex(stderr, /"ingressBurst" is 456 bits, less than a frame of 1514 bytes/);
});

for (const [title, make, says] of [
  [
    'the limit gone',
    ({ end }) => tc('qdisc', 'del', 'dev', end, 'root'),
    /has the queueing discipline noqueue at its root, expected tbf/,
  ],
  [
    'another rate',
    ({ end }) => tc(...`qdisc replace dev ${end} root handle 1: tbf rate 9mbit burst 50000 limit 112500`.split(' ')),
    /is limited to 1125000 bytes a second, expected 2500000/,
  ],
  [
    'another burst',
    ({ end }) => tc(...`qdisc replace dev ${end} root handle 1: tbf rate 20mbit burst 9000 limit 112500`.split(' ')),
    /has a burst of 9000 bytes, expected 50000/,
  ],
  [
    'another limit',
    ({ end }) => tc(...`qdisc replace dev ${end} root handle 1: tbf rate 20mbit burst 50000 limit 99999`.split(' ')),
    /lets 99999 bytes wait, expected 112500/,
  ],
  [
    'the redirection gone',
    ({ end }) => tc('qdisc', 'del', 'dev', end, 'ingress'),
    /what comes in by "veth\w+" does not go to "ifb/,
  ],
  [
    'the ifb gone',
    (_c, ifb) => execFileSync('ip', ['link', 'del', ifb]),
    /the interface "ifb\w+" on the host is missing/,
  ],
  ['the ifb down', (_c, ifb) => execFileSync('ip', ['link', 'set', ifb, 'down']), /"ifb\w+" on the host is down/],
] as readonly (readonly [string, (container: Container, ifb: string) => unknown, RegExp])[]) {
  test.serial(`CHECK names the difference: ${title}; DEL takes away what is left`, (t) => {
    const lab = new Lab(t);
    const container = attached(lab);
    const { sandbox } = container;
    const before = lab.snapshot();
    const prevResult = lab.add({ ...bandwidth(both), prevResult: container.prevResult }, { sandbox });
    make(container, ifbOf(prevResult));
    const { output } = lab.exec('CHECK', { ...bandwidth(both), prevResult }, { sandbox });
    t.is(output.code, 110);
    t.regex(output.msg ?? '', says);
    lab.del(bandwidth(both), { sandbox });
    t.is(lab.snapshot(), before);
  });
}

for (const [title, change, says] of [
  [
    'a filter gone',
    (end) => tc('filter', 'del', 'dev', end, 'parent', '1:', 'prio', '2'),
    /lacks the filter of protocol 86dd/,
  ],
  [
    'another rate of the class',
    (end) => tc(...`class change dev ${end} parent 1: classid 1:30 htb rate 9mbit`.split(' ')),
    /has a class of 1125000 bytes a second, expected 2500000/,
  ],
] as readonly (readonly [string, (end: string) => unknown, RegExp])[]) {
  test.serial(`CHECK names the difference with subnets: ${title}`, (t) => {
    const lab = new Lab(t);
    const { sandbox, prevResult: first, end } = attached(lab);
    const conf = bandwidth({ ...both, shapedSubnets: ['10.1.0.0/24', 'fd00::/64'] });
    const prevResult = lab.add({ ...conf, prevResult: first }, { sandbox });
    change(end);
    const { output } = lab.exec('CHECK', { ...conf, prevResult }, { sandbox });
    t.is(output.code, 110);
    t.regex(output.msg ?? '', says);
  });
}

test.serial('DEL without the namespace or its path, and GC, leave no ifb; others keep theirs', (t) => {
  const lab = new Lab(t);
  const conf = bandwidth(both);
  const keep = attached(lab, 'keep');
  const kept = lab.add({ ...conf, prevResult: keep.prevResult }, keep);
  const { sandbox, prevResult } = attached(lab);
  const before = lab.snapshot();
  lab.add({ ...conf, prevResult }, { sandbox });
  lab.del(conf, { sandbox, netns: '' });
  t.is(lab.snapshot(), before);
  const result = lab.add({ ...conf, prevResult }, { sandbox });
  sandbox[Symbol.dispose](); // the kernel removes the veth with it, some time later
  lab.del(conf, { containerId: 'c1', netns: sandbox.path });
  t.false(lab.snapshot().includes(ifbOf(result)));
  const stale = attached(lab, 'stale');
  const left = lab.add({ ...conf, prevResult: stale.prevResult }, stale);
  lab.gc(conf, [{ containerID: 'keep', ifname: 'eth0' }]);
  t.false(lab.snapshot().includes(ifbOf(left)));
  lab.check(conf, keep, kept);
});

test.serial('DEL of what the reference plugin made removes its ifb, too', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const before = lab.snapshot();
  const conf: Json = { ...bandwidth(both), cniVersion: '1.0.0' };
  const result = lab.add(
    { ...conf, prevResult: { ...prevResult, cniVersion: '1.0.0' } },
    { sandbox },
    { bin: REFERENCE },
  );
  t.regex(ifbOf(result), /^bwp/);
  lab.del({ ...conf, prevResult: result }, { sandbox });
  t.is(lab.snapshot(), before);
});
