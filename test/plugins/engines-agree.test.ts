/**
 * The two engines that run plugins answer the same, byte for byte, to mostly broken configurations: each generated one
 * goes to netloom-cni (QuickJS) and to netloom (Bun).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { type Engine, linksTo } from '../support/engine-links.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab, type Target } from '../support/lab.ts';

becomeHost();

const IPAM = {
  type: 'host-local',
  ranges: [[{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.9' }]],
  routes: [{ dst: '0.0.0.0/0' }],
};
const STATIC = {
  type: 'static',
  addresses: [{ address: '10.2.0.2/24', gateway: '10.2.0.1' }],
  dns: { nameservers: ['10.0.0.53'] },
};
const PREVIOUS = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/nonexistent' }],
  ips: [{ address: '10.1.0.9/24', gateway: '10.1.0.1', interface: 0 }],
};

/** Valid configurations, to be broken. */
const CONFIGURATIONS: readonly Json[] = [
  {
    type: 'bridge',
    bridge: 'br9',
    isDefaultGateway: true,
    ipMasq: true,
    hairpinMode: true,
    mtu: 1400,
    vlan: 5,
    ipam: IPAM,
  },
  {
    type: 'bridge',
    promiscMode: true,
    preserveDefaultVlan: false,
    vlanTrunk: [{ minID: 2, maxID: 9 }, { id: 40 }],
    ipam: STATIC,
  },
  { type: 'ptp', ipMasq: true, mtu: 1400, ipam: IPAM, dns: { nameservers: ['10.0.0.53'], search: ['lab'] } },
  { type: 'macvlan', master: 'lo', mode: 'bridge', ipam: IPAM },
  { type: 'host-local', ipam: IPAM },
  { type: 'static', ipam: STATIC },
  {
    type: 'portmap',
    snat: true,
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    prevResult: PREVIOUS,
  },
  { type: 'firewall', backend: 'nftables', ingressPolicy: 'open', prevResult: PREVIOUS },
  {
    type: 'tuning',
    mtu: 1400,
    sysctl: { 'net.ipv4.conf.IFNAME.forwarding': '1' },
    mac: '02:00:00:00:00:02',
    prevResult: PREVIOUS,
  },
  { type: 'bandwidth', ingressRate: 1e6, ingressBurst: 1e6, prevResult: PREVIOUS },
  {
    type: 'policy',
    policy: { ingress: [{ from: [{ cidr: '10.0.0.0/8' }], ports: [{ port: 80, protocol: 'tcp' }] }] },
    prevResult: PREVIOUS,
  },
  { type: 'sbr', table: 100, prevResult: PREVIOUS },
  { type: 'vrf', vrfname: 'red', table: 1001, prevResult: PREVIOUS },
  {
    type: 'overlay',
    vni: 42,
    network: '10.96.0.0/16',
    nodes: [{ name: 'a', address: '192.0.2.1', subnet: '10.96.1.0/24' }],
  },
  { type: 'loopback' },
];

const ODD_TEXTS = [
  '',
  ' ',
  '\0',
  '\ud800',
  '\u{1F310}',
  '10.1.0.0/33',
  '10.1.0.256',
  '::1/129',
  'fe80::1',
  '0',
  '1e3',
  '../x',
  '__proto__',
  'x'.repeat(300),
];
const oddText = fc.oneof(fc.constantFrom(...ODD_TEXTS), fc.string({ unit: 'grapheme', maxLength: 8 }));
const oddNumber = fc.constantFrom(0, -0, -1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e21, 1e-7, 65536, 4095);
const odd: fc.Arbitrary<unknown> = fc.oneof(
  oddText,
  oddNumber,
  fc.boolean(),
  fc.constantFrom(null, [], {}, [null], [[]], { '': 1 }, { a: { b: [1] } }),
  fc.json().map((text) => JSON.parse(text)),
);

interface Change {
  readonly place: number;
  readonly how: 'value' | 'key' | 'without' | 'twice';
  readonly value: unknown;
  readonly key: string;
}

const change: fc.Arbitrary<Change> = fc.record({
  place: fc.nat(1000),
  how: fc.constantFrom('value', 'value', 'value', 'key', 'without', 'twice'),
  value: odd,
  key: fc.oneof(oddText, fc.constantFrom('MTU', 'Ipam', 'TYPE', 'constructor', '1', 'prevresult')),
});

/** Changes one place in a value; places are counted from the outside in. */
function changed(json: unknown, { place, how, value, key }: Change): unknown {
  const places: [holder: Record<string, unknown>, name: string][] = [];
  const copy = structuredClone({ json }) as Record<string, unknown>;
  const gather = (of: Record<string, unknown>) => {
    for (const [name, inside] of Object.entries(of)) {
      if (of !== copy) places.push([of, name]);
      if (typeof inside === 'object' && inside !== null) gather(inside as Record<string, unknown>);
    }
  };
  gather(copy);
  const [holder, name] = places[place % Math.max(places.length, 1)] ?? [copy, 'json'];
  const before = holder[name];
  if (how === 'value') holder[name] = value;
  if (how === 'without' || how === 'key') delete holder[name];
  if (how === 'key')
    Object.defineProperty(holder, key, { value: before, enumerable: true, configurable: true, writable: true });
  if (how === 'twice') holder[name] = [before, before];
  return copy['json'];
}

/** Bytes that replace others. */
interface Damage {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly removed: number;
}

const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.nat(2000),
  bytes: fc.uint8Array({ min: 0, max: 255, maxLength: 3 }),
  removed: fc.nat(3),
});

function damaged(bytes: Uint8Array, { at, bytes: added, removed }: Damage): Uint8Array {
  const place = at % (bytes.length + 1);
  return Uint8Array.from([...bytes.subarray(0, place), ...added, ...bytes.subarray(place + removed)]);
}

const stdin = fc
  .record({
    conf: fc.constantFrom(...CONFIGURATIONS),
    header: fc.record({
      name: fc.oneof({ weight: 9, arbitrary: fc.constant('net') }, { weight: 1, arbitrary: oddText }),
      cniVersion: fc.constantFrom('1.1.0', '1.1.0', '1.0.0', '0.4.0', '0.2.0', '', '2.0.0'),
    }),
    changes: fc.array(change, { maxLength: 3 }),
    damages: fc.oneof(
      { weight: 3, arbitrary: fc.constant<Damage[]>([]) },
      { weight: 1, arbitrary: fc.array(damage, { minLength: 1, maxLength: 2 }) },
    ),
    indent: fc.constantFrom(0, 2),
  })
  .map(({ conf, header, changes, damages, indent }) => {
    const json = changes.reduce<unknown>(changed, { ...header, ...conf });
    const bytes = new TextEncoder().encode(JSON.stringify(json, null, indent));
    return { type: conf['type'], stdin: damages.reduce(damaged, bytes) };
  });

const call = fc.record({
  conf: stdin,
  command: fc.constantFrom('ADD', 'ADD', 'ADD', 'DEL', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'add'),
  inSandbox: fc.boolean(),
  args: fc.constantFrom(
    undefined,
    undefined,
    'IP=10.1.0.77',
    'MAC=02:00:00:00:00:07',
    'IP=x;;=;a=b=c',
    'IgnoreUnknown=1;K8S=\u{1F310}',
  ),
  ifname: fc.oneof(
    { weight: 5, arbitrary: fc.constant('eth0') },
    { weight: 1, arbitrary: oddText.filter((text) => !text.includes('\0')) },
  ),
});

test.serial(
  'QuickJS and Bun answer generated calls, most of them broken, with the same stdout, stderr and exit status',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const engines = (['netloom-cni', 'netloom'] as const).map((engine: Engine) => {
      const root = join(lab.root, `of-${engine}`);
      mkdirSync(root);
      return { bin: linksTo(lab.root, engine), path: '/nonexistent', environment: { NETLOOM_ROOT: root } };
    });
    let succeeded = 0;
    fc.assert(
      fc.property(call, ({ conf: { type, stdin: bytes }, command, inSandbox, args, ifname }) => {
        const target: Target = {
          ifname,
          ...(inSandbox ? { sandbox } : { containerId: 'c1', netns: '/nonexistent' }),
          ...(args !== undefined && { args }),
        };
        const [ofQuickJs, ofBun] = engines.map((options) => {
          const { status, signal, stdout, stderr } = lab.exec(command, { type }, target, { ...options, stdin: bytes });
          // Undo it before the other engine does the same.
          if (status === 0 && command === 'ADD') lab.exec('DEL', { type }, target, { ...options, stdin: bytes });
          const { NETLOOM_ROOT: root } = options.environment;
          const neutral = (text: string) =>
            text
              .replaceAll(root, 'ROOT')
              .replaceAll(options.bin, 'BIN')
              .replace(/\b(?:[\da-f]{2}:){5}[\da-f]{2}\b/g, 'MAC');
          return { status, signal, stdout: neutral(stdout), stderr: neutral(stderr) };
        });
        if (ofBun?.status === 0) succeeded++;
        t.deepEqual(ofQuickJs, ofBun, `${command} ${type} ${new TextDecoder().decode(bytes)}`);
      }),
      { numRuns: 100 },
    );
    t.true(succeeded > 5, `only ${succeeded} succeeded`);
  },
);
