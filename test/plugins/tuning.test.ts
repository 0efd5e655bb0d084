/** tuning as a container runtime executes it, after bridge. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { becomeHost, type Sandbox } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Output, REFERENCE, type Target } from '../support/lab.ts';

becomeHost();

const MAC = '02:42:0a:01:00:99';
const bridge = bridgeConf();
const tuning = (more: Json = {}): Json => ({ cniVersion: '1.1.0', name: 'net', type: 'tuning', ...more });
const everything = {
  sysctl: { 'net.ipv4.conf.IFNAME.log_martians': '1', 'net/core/somaxconn': '77' },
  mac: MAC,
  mtu: 1400,
  promisc: true,
  allmulti: true,
  txQLen: 55,
};

/** A container on a bridge. */
function attached(lab: Lab, name = 'c1'): Target & { readonly sandbox: Sandbox; readonly prevResult: Output } {
  const sandbox = lab.sandbox(name);
  return { sandbox, prevResult: lab.add(bridge, { sandbox }) };
}

interface Shown {
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly txqlen: number;
}

function shown(sandbox: Sandbox, ifname = 'eth0') {
  const [{ address, mtu, flags, txqlen }] = sandbox.ip<Shown>('link', 'show', ifname) as [Shown];
  return {
    mac: address,
    mtu,
    txQLen: txqlen,
    promisc: flags.includes('PROMISC'),
    allmulti: flags.includes('ALLMULTI'),
  };
}

const sysctl = (sandbox: Sandbox, key: string) => sandbox.run('cat', `/proc/sys/net/${key}`).trim();
const set = (sandbox: Sandbox, key: string, value: string) =>
  sandbox.run('sh', '-c', `echo ${value} > /proc/sys/net/${key}`);
const recordOf = (lab: Lab, name = 'c1') => `${lab.root}/run/cni/tuning/${name}_eth0.json`;

/** Everything that tuning may touch. */
function stateOf(lab: Lab, sandbox: Sandbox): string {
  const settings = ['ipv4/conf/eth0/log_martians', 'core/somaxconn'].map((key) => sysctl(sandbox, key));
  return [lab.snapshot(), JSON.stringify(shown(sandbox)), ...settings].join('\n');
}

test.serial('every key has its effect, the result tells of MAC and MTU, and DEL takes all of it back', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const before = stateOf(lab, sandbox);
  const conf = tuning(everything);
  const result = lab.add({ ...conf, prevResult }, { sandbox });
  t.deepEqual(shown(sandbox), { mac: MAC, mtu: 1400, txQLen: 55, promisc: true, allmulti: true });
  t.is(sysctl(sandbox, 'ipv4/conf/eth0/log_martians'), '1');
  t.is(sysctl(sandbox, 'core/somaxconn'), '77');
  const [bridgeInterface, hostEnd, inContainer] = prevResult.interfaces ?? [];
  t.deepEqual(result, {
    ...prevResult,
    interfaces: [bridgeInterface, hostEnd, { ...inContainer, mac: MAC, mtu: 1400 }],
  } as Output);
  lab.check(conf, { sandbox }, result);
  lab.check(bridge, { sandbox }, result);
  lab.del({ ...conf, prevResult: result }, { sandbox });
  t.is(stateOf(lab, sandbox), before);
  lab.del(conf, { sandbox });
  t.is(stateOf(lab, sandbox), before);
});

test.serial('DEL leaves what somebody else has changed since', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const old = shown(sandbox);
  const conf = tuning(everything);
  lab.add({ ...conf, prevResult }, { sandbox });
  sandbox.run('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:07', 'mtu', '1300');
  set(sandbox, 'core/somaxconn', '88');
  lab.del(conf, { sandbox });
  t.deepEqual(shown(sandbox), { ...old, mac: '02:00:00:00:00:07', mtu: 1300 });
  t.is(sysctl(sandbox, 'core/somaxconn'), '88');
  t.is(sysctl(sandbox, 'ipv4/conf/eth0/log_martians'), '0');
  t.false(existsSync(recordOf(lab)));
});

test.serial('two of them in one chain: the later one wins, and one DEL brings back what was there before both', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const before = stateOf(lab, sandbox);
  const [first, second] = [tuning({ mtu: 1400, promisc: true }), tuning({ mtu: 1300, allmulti: true })];
  const between = lab.add({ ...first, prevResult }, { sandbox });
  const result = lab.add({ ...second, prevResult: between }, { sandbox });
  t.like(shown(sandbox), { mtu: 1300, promisc: true, allmulti: true });
  lab.del({ ...second, prevResult: result }, { sandbox });
  lab.del({ ...first, prevResult: result }, { sandbox });
  t.is(stateOf(lab, sandbox), before);
});

test.serial('nothing asked for, as in what podman writes: the result passes, and nothing is written', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const before = stateOf(lab, sandbox);
  t.deepEqual(lab.add({ ...tuning({ capabilities: { mac: true } }), prevResult }, { sandbox }), prevResult);
  t.is(stateOf(lab, sandbox), before);
});

for (const [title, more, args, mac] of [
  ['CNI_ARGS over the configuration', { mac: '02:00:00:00:00:01' }, 'MAC=02:00:00:00:00:02', '02:00:00:00:00:02'],
  [
    'runtimeConfig over CNI_ARGS',
    { mac: '02:00:00:00:00:01', runtimeConfig: { mac: '02:00:00:00:00:03' } },
    'IgnoreUnknown=1;K8S_POD_NAME=x;MAC=02:00:00:00:00:02',
    '02:00:00:00:00:03',
  ],
  [
    'args.cni over runtimeConfig',
    { runtimeConfig: { mac: '02:00:00:00:00:03' }, args: { cni: { mac: '02-00-00-00-00-04' } } },
    undefined,
    '02:00:00:00:00:04',
  ],
] as const) {
  test.serial(`the MAC: ${title}, as in the reference`, (t) => {
    const lab = new Lab(t);
    const { sandbox, prevResult } = attached(lab);
    const target: Target & { sandbox: Sandbox } = { sandbox, ...(args !== undefined && { args }) };
    const reference = lab.add(
      {
        ...tuning(more),
        cniVersion: '1.0.0',
        dataDir: `${lab.root}/reference`,
        prevResult: { ...prevResult, cniVersion: '1.0.0' },
      },
      target,
      { bin: REFERENCE },
    );
    t.is(shown(sandbox).mac, mac);
    lab.del({ ...tuning(), dataDir: `${lab.root}/reference` }, { sandbox });
    t.is(shown(sandbox).mac, prevResult.interfaces?.[2]?.mac ?? '');
    const result = lab.add({ ...tuning(more), prevResult }, target);
    t.is(shown(sandbox).mac, mac);
    t.is(result.interfaces?.[2]?.mac, mac);
    t.is(reference.interfaces?.[2]?.mac?.replaceAll('-', ':'), mac);
  });
}

test.serial('args.cni: its sysctls beside those of the configuration or alone, where the reference crashes', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const alone = tuning({ args: { cni: { sysctl: { 'net.core.somaxconn': '33' }, mtu: 1350, promisc: true } } });
  lab.add({ ...alone, prevResult }, { sandbox });
  t.is(sysctl(sandbox, 'core/somaxconn'), '33');
  t.like(shown(sandbox), { mtu: 1350, promisc: true });
  lab.del(alone, { sandbox });
  const both = { ...alone, sysctl: { 'net.core.somaxconn': '44', 'net.ipv4.ip_default_ttl': '65' }, promisc: true };
  lab.add({ ...both, prevResult }, { sandbox });
  t.is(sysctl(sandbox, 'core/somaxconn'), '33');
  t.is(sysctl(sandbox, 'ipv4/ip_default_ttl'), '65');
});

test.serial('a key with slashes names an interface with a dot, and one with dots too', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  sandbox.run('ip', 'link', 'add', 'a.b', 'type', 'veth');
  const conf = tuning({ sysctl: { 'net/ipv4/conf/a.b/log_martians': '1', 'net.ipv4.conf.a/b.forwarding': '1' } });
  lab.add({ ...conf, prevResult }, { sandbox });
  t.is(sysctl(sandbox, 'ipv4/conf/a.b/log_martians'), '1');
  t.is(sysctl(sandbox, 'ipv4/conf/a.b/forwarding'), '1');
});

for (const at of ['sysctl', 'args.cni.sysctl']) {
  test.serial(`a key of ${at} that is there twice is refused, with both values`, (t) => {
    const lab = new Lab(t);
    const { sandbox, prevResult } = attached(lab);
    const key = '"net.core.somaxconn"';
    const twice = `{${key}: "1", ${key}: "2"}`;
    const more = at === 'sysctl' ? `"sysctl": ${twice}` : `"args": {"cni": {"sysctl": ${twice}}}`;
    const conf = { ...tuning({}), prevResult };
    const before = sysctl(sandbox, 'core/somaxconn');
    for (const command of ['ADD', 'CHECK']) {
      const { output } = lab.exec(
        command,
        conf,
        { sandbox },
        { stdin: JSON.stringify(conf).replace('{', `{${more},`) },
      );
      t.is(output.code, 7);
      t.is(
        output.msg,
        `failed to load netconf: "${at}" has "net.core.somaxconn" twice, as "1" and "2", expected it once`,
      );
    }
    t.is(sysctl(sandbox, 'core/somaxconn'), before);
  });
}

interface Bad {
  readonly conf: Json;
  readonly code: number;
  readonly says: RegExp;
  readonly allowlist?: string;
}

const bad: readonly Bad[] = [
  {
    conf: { sysctl: { 'kernel.hostname': 'x' } },
    code: 7,
    says: /"kernel.hostname": "x", expected a key below "net."/,
  },
  { conf: { sysctl: { net: '1' } }, code: 7, says: /"net": "1", expected a key below/ },
  { conf: { sysctl: { 'net/../kernel/hostname': 'x' } }, code: 7, says: /"net\/..\/kernel\/hostname": "x"/ },
  { conf: { sysctl: { 'net.ipv4/../../kernel.x': 'x' } }, code: 7, says: /"net.ipv4\/..\/..\/kernel.x": "x"/ },
  { conf: { sysctl: { 'net/./core/somaxconn': '1' } }, code: 7, says: /"net\/.\/core\/somaxconn"/ },
  { conf: { sysctl: { '/net/core/somaxconn': '1' } }, code: 7, says: /"\/net\/core\/somaxconn": "1", expected a key/ },
  {
    conf: { sysctl: { 'net.ipv4.nope': '1' } },
    code: 7,
    says: /"net.ipv4.nope": "1", the container has no such setting/,
  },
  { conf: { sysctl: { 'net.ipv4.conf': '1' } }, code: 7, says: /"net.ipv4.conf": "1", the container has no such/ },
  {
    conf: { sysctl: { 'net.core.somaxconn': 1 } },
    code: 7,
    says: /"sysctl.net.core.somaxconn" is 1, expected a string/,
  },
  {
    conf: { sysctl: { 'net.core.somaxconn': '1', 'net/core/somaxconn': '2' } },
    code: 7,
    says: /"net\/core\/somaxconn": "2", "net.core.somaxconn" names the same setting and is "1"/,
  },
  {
    conf: { sysctl: { 'net.core.somaxconn': '1', 'net/core/somaxconn': '1' } },
    code: 7,
    says: /"net\/core\/somaxconn": "1", "net.core.somaxconn" names the same setting/,
  },
  { conf: { sysctl: { 'net.core.somaxconn': 'many' } }, code: 100, says: /"net.core.somaxconn" to "many": .*EINVAL/ },
  { conf: { sysctl: [] }, code: 7, says: /"sysctl" is \[\], expected an object/ },
  {
    conf: { sysctl: { 'net.core.somaxconn': '5' } },
    code: 7,
    says: /"net.core.somaxconn": "5", it is not on the list/,
    allowlist: '^net\\.ipv4\\.',
  },
  { conf: { sysctl: { 'net.core.somaxconn': '5' } }, code: 106, says: /has the line "\("/, allowlist: '(' },
  { conf: { mac: 'nonsense' }, code: 7, says: /"mac" is "nonsense", expected the MAC of one station/ },
  { conf: { mac: '01:00:5e:00:00:01' }, code: 7, says: /"mac" is "01:00:5e:00:00:01"/ },
  { conf: { args: { cni: { mac: '00:00:00:00:00:00' } } }, code: 7, says: /"args.cni.mac" is/ },
  { conf: { mtu: -1 }, code: 7, says: /"mtu" is -1, expected a whole number from 0 to 65536/ },
  { conf: { mtu: 20, mac: MAC, promisc: true }, code: 100, says: /EINVAL/ },
  { conf: { promisc: 'yes' }, code: 7, says: /"promisc" is "yes", expected true or false/ },
  { conf: { allmulti: 1 }, code: 7, says: /"allmulti" is 1/ },
  { conf: { txQLen: -1 }, code: 7, says: /"txQLen" is -1/ },
];

for (const { conf, code, says, allowlist } of bad) {
  test.serial(
    `refused, and nothing changes: ${JSON.stringify(conf)}${allowlist === undefined ? '' : ` with the list ${allowlist}`}`,
    (t) => {
      const lab = new Lab(t);
      const { sandbox, prevResult } = attached(lab);
      if (allowlist !== undefined) {
        mkdirSync(`${lab.root}/etc/cni/tuning`, { recursive: true });
        writeFileSync(`${lab.root}/etc/cni/tuning/allowlist.conf`, `\n  ${allowlist}\n`);
      }
      const before = stateOf(lab, sandbox);
      const { status, output } = lab.exec('ADD', { ...tuning(conf), prevResult }, { sandbox });
      t.is(status, 1);
      t.is(output.code, code, output.msg);
      t.regex(output.msg ?? '', says);
      t.is(stateOf(lab, sandbox), before);
    },
  );
}

test.serial(
  'an MTU with which the interface would lose its IPv6 address is refused; one without such an address may have it',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const ranges = [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]];
    const prevResult = lab.add(bridgeConf({ ipam: { type: 'host-local', ranges } }), { sandbox });
    const before = stateOf(lab, sandbox);
    for (const [conf, key] of [
      [{ mtu: 1279 }, 'mtu'],
      [{ args: { cni: { mtu: 1279 } } }, 'args.cni.mtu'],
    ] as const) {
      const { output } = lab.exec('ADD', { ...tuning(conf), prevResult }, { sandbox });
      t.is(output.code, 7);
      t.is(
        output.msg,
        `failed to load netconf: "${key}" is 1279, expected at least 1280: with less the interface loses its IPv6 address fd00:1::2/64`,
      );
    }
    t.is(stateOf(lab, sandbox), before);
    const conf = tuning({ mtu: 1280 });
    const result = lab.add({ ...conf, prevResult }, { sandbox });
    t.true(sandbox.reaches('fd00:1::1'));
    lab.del({ ...conf, prevResult: result }, { sandbox });
    t.is(stateOf(lab, sandbox), before);
    const other = attached(lab, 'c2');
    lab.add({ ...tuning({ mtu: 1000 }), prevResult: other.prevResult }, { sandbox: other.sandbox });
    t.is(shown(other.sandbox).mtu, 1000);
  },
);

test.serial('it is a chained plugin, and needs the interface', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const alone = lab.exec('ADD', tuning({ mtu: 1400 }), { sandbox });
  t.is(alone.output.code, 7);
  t.regex(alone.output.msg ?? '', /"prevResult" is missing/);
  const absent = lab.exec('ADD', { ...tuning({ mtu: 1400 }), prevResult }, { sandbox, ifname: 'net7' });
  t.is(absent.output.code, 112);
  t.regex(absent.output.msg ?? '', /Cannot tune "net7"/);
});

test.serial('an allow list: what is on it passes, and STATUS says where a list cannot be read', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  mkdirSync(`${lab.root}/etc/cni/tuning`, { recursive: true });
  const list = `${lab.root}/etc/cni/tuning/allowlist.conf`;
  writeFileSync(list, '^net\\.ipv4\\.\n^net\\.core\\.somaxconn$\n');
  lab.add({ ...tuning({ sysctl: { 'net.core.somaxconn': '9' } }), prevResult }, { sandbox });
  t.is(lab.exec('STATUS', tuning()).status, 0);
  writeFileSync(list, '[');
  const { output } = lab.exec('STATUS', tuning());
  t.is(output.code, 50);
  t.true(output.msg?.includes(`"${list}"`), output.msg);
});

for (const [title, change, says] of [
  [
    'the MAC',
    ['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:07'],
    /"mac" of "eth0" in the container is 02:00/,
  ],
  ['the MTU', ['ip', 'link', 'set', 'eth0', 'mtu', '1300'], /"mtu" of "eth0" in the container is 1300, expected 1400/],
  ['promiscuous mode', ['ip', 'link', 'set', 'eth0', 'promisc', 'off'], /"promisc" .* is false, expected true/],
  ['all-multicast mode', ['ip', 'link', 'set', 'eth0', 'allmulticast', 'off'], /"allmulti" .* is false/],
  ['the queue', ['ip', 'link', 'set', 'eth0', 'txqueuelen', '9'], /"txQLen" .* is 9, expected 55/],
  ['a sysctl', ['sh', '-c', 'echo 5 > /proc/sys/net/core/somaxconn'], /"net\/core\/somaxconn" is "5", expected "77"/],
] as const) {
  test.serial(`CHECK names the difference: ${title}`, (t) => {
    const lab = new Lab(t);
    const { sandbox, prevResult: first } = attached(lab);
    const conf = tuning(everything);
    const prevResult = lab.add({ ...conf, prevResult: first }, { sandbox });
    const [program, ...args] = change;
    sandbox.run(program, ...args);
    const { output } = lab.exec('CHECK', { ...conf, prevResult }, { sandbox });
    t.is(output.code, 110);
    t.regex(output.msg ?? '', says);
  });
}

test.serial('DEL without the namespace, and GC, leave no record; those of others stay', (t) => {
  const lab = new Lab(t);
  const conf = tuning({ mtu: 1400 });
  for (const name of ['c1', 'c2', 'keep']) {
    const { sandbox, prevResult } = attached(lab, name);
    lab.add({ ...conf, prevResult }, { sandbox });
  }
  writeFileSync(recordOf(lab, 'foreign'), '{"mtu":1500}');
  lab.del(conf, { containerId: 'c1', netns: `${lab.root}/netns/never` });
  t.false(existsSync(recordOf(lab, 'c1')));
  lab.gc(conf, [{ containerID: 'keep', ifname: 'eth0' }]);
  t.false(existsSync(recordOf(lab, 'c2')));
  t.true(existsSync(recordOf(lab, 'keep')) && existsSync(recordOf(lab, 'foreign')));
});

test.serial('what a killed ADD has written beside its record goes with GC', (t) => {
  const lab = new Lab(t);
  const conf = tuning({ mtu: 1400 });
  const { sandbox, prevResult } = attached(lab, 'c1');
  lab.add({ ...conf, prevResult }, { sandbox });
  renameSync(recordOf(lab, 'c1'), `${recordOf(lab, 'c1')}.tmp`);
  lab.gc({ ...conf, name: 'other' }, []);
  t.true(existsSync(`${recordOf(lab, 'c1')}.tmp`));
  lab.gc(conf, []);
  t.false(existsSync(`${recordOf(lab, 'c1')}.tmp`));
});

test.serial('a damaged record is set aside with a warning, by ADD and by DEL', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const conf = tuning({ mtu: 1400 });
  mkdirSync(`${lab.root}/run/cni/tuning`, { recursive: true });
  writeFileSync(recordOf(lab), '{"mtu":');
  const added = lab.exec('ADD', { ...conf, prevResult }, { sandbox });
  t.is(added.status, 0);
  t.regex(added.stderr, /c1_eth0.json" is damaged/);
  t.is(readFileSync(`${recordOf(lab)}.damaged`, 'utf8'), '{"mtu":');
  writeFileSync(recordOf(lab), '\0');
  const deleted = lab.exec('DEL', conf, { sandbox });
  t.is(deleted.status, 0);
  t.regex(deleted.stderr, /is damaged/);
  t.false(existsSync(recordOf(lab)));
});

test.serial('each of us takes back what the other has changed', (t) => {
  const lab = new Lab(t);
  const { sandbox, prevResult } = attached(lab);
  const old = shown(sandbox);
  const conf: Json = {
    ...tuning({ mac: MAC, mtu: 1400, promisc: true, allmulti: true }),
    cniVersion: '1.0.0',
    dataDir: `${lab.root}/shared`,
  };
  const given = { ...conf, prevResult: { ...prevResult, cniVersion: '1.0.0' } };
  lab.add(given, { sandbox }, { bin: REFERENCE });
  t.is(shown(sandbox).mtu, 1400);
  lab.del(conf, { sandbox });
  t.deepEqual(shown(sandbox), old);
  lab.add(given, { sandbox });
  t.is(shown(sandbox).mtu, 1400);
  lab.del(conf, { sandbox }, { bin: REFERENCE });
  t.deepEqual(shown(sandbox), old);
});

test.serial('a new MAC is announced: neighbours reach the container at once', (t) => {
  const lab = new Lab(t);
  const [one, two] = [attached(lab, 'c1'), attached(lab, 'c2')];
  t.true(one.sandbox.reaches('10.1.0.3'));
  lab.add({ ...tuning({ mac: MAC }), prevResult: two.prevResult }, { sandbox: two.sandbox });
  one.sandbox.run('ping', '-c', '1', '-W', '10', '10.1.0.3');
  t.pass();
});
