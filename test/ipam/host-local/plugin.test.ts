import { mkdirSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { hasCode } from '../../../src/error.ts';
import { hostLocal } from '../../../src/ipam/host-local/plugin.ts';
import { type CallOptions, callOf, shown, temporary } from '../calls.ts';

function harness(t: ExecutionContext) {
  const root = temporary(t);
  const call = (conf: object, options?: CallOptions) => callOf(hostLocal, root, conf, options);
  const add = (conf: object, options?: CallOptions) =>
    shown(hostLocal.add(call(conf, options))) as { ips: { address: string }[] };
  const ips = (conf: object, options?: CallOptions) => add(conf, options).ips.map(({ address }) => address);
  return { root, call, add, ips };
}

const flat = (subnet: string, more: object = {}) => ({ ipam: { type: 'host-local', subnet, ...more } });

test('a result has address, gateway, routes with all their fields, and the dns of resolvConf', (t) => {
  const { root, add } = harness(t);
  const resolvConf = `${root}/resolv.conf`;
  writeFileSync(
    resolvConf,
    '# comment\n; comment\n\nnameserver 192.0.2.3\nnameserver 192.0.2.4\ndomain a.example\nsearch b.example c.example\noptions ndots:5 rotate\nnameserver\nsortlist x\n',
  );
  const routes = [
    { dst: '0.0.0.0/0' },
    { dst: 'fd01::/64', gw: 'fd00::9', mtu: 1400, advmss: 1300, priority: 5, table: 7, scope: 253 },
  ];
  t.deepEqual(
    add({
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00::/64', gateway: 'fd00::9' }]],
        routes,
        resolvConf,
      },
    }),
    {
      ips: [
        { address: '10.1.2.2/24', gateway: '10.1.2.1' },
        { address: 'fd00::1/64', gateway: 'fd00::9' },
      ],
      routes,
      dns: {
        nameservers: ['192.0.2.3', '192.0.2.4'],
        domain: 'a.example',
        search: ['b.example', 'c.example'],
        options: ['ndots:5', 'rotate'],
      },
    },
  );
});

test('the order of range sets is: those of the runtime, the flat one, then ranges', (t) => {
  const { ips } = harness(t);
  t.deepEqual(
    ips({
      ipam: {
        type: 'host-local',
        subnet: '10.2.0.0/24',
        rangeStart: '10.2.0.50',
        rangeEnd: '10.2.0.60',
        gateway: '10.2.0.254',
        ranges: [[{ subnet: '10.3.0.0/24' }]],
      },
      runtimeConfig: { ipRanges: [[{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.7' }]] },
    }),
    ['10.1.0.7/24', '10.2.0.50/24', '10.3.0.2/24'],
  );
});

test('addresses can be asked for in four ways, with and without a prefix', (t) => {
  const { ips } = harness(t);
  const conf = {
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '10.2.0.0/24' }], [{ subnet: 'fd00::/64' }]],
    },
  };
  t.deepEqual(
    ips(
      { ...conf, args: { cni: { ips: ['10.2.0.88/24'] } }, RuntimeConfig: { ips: ['fd00::88/64'] } },
      { args: 'IgnoreUnknown=1;K8S_POD_NAME=x;IP=10.1.0.88' },
    ),
    ['10.1.0.88/24', '10.2.0.88/24', 'fd00::88/64'],
  );
});

test('asking is refused where it makes no sense', (t) => {
  const { ips } = harness(t);
  const conf = flat('10.1.0.0/24');
  const refusal = (more: object, args = '') => t.throws(() => ips({ ...conf, ...more }, { args }))?.message;
  t.is(refusal({}, 'IP=here'), 'ARGS: IP is "here", expected an IP address such as "10.1.0.5"');
  t.regex(refusal({}, 'MAC=02:00:00:00:00:01') ?? '', /unknown args \["MAC=02:00:00:00:00:01"\]/);
  t.is(
    refusal({ args: { cni: { ips: ['here'] } } }),
    'failed to load netconf: "args.cni.ips[0]" is "here", expected an IP address such as "10.1.0.5"',
  );
  t.regex(
    refusal({ args: { cni: { ips: ['10.9.0.1'] } } }) ?? '',
    /^failed to allocate all requested IPs: 10\.9\.0\.1/,
  );
  t.is(
    refusal({ runtimeConfig: { ips: ['10.1.0.1'] } }),
    "failed to allocate for range 0: requested ip 10.1.0.1 is subnet's gateway",
  );
});

test('versions before 0.3.0 have one address a family', (t) => {
  const { ips } = harness(t);
  const two = {
    cniVersion: '0.2.0',
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '10.2.0.0/24' }]] },
  };
  t.throws(() => ips(two), { message: /^CNI version 0\.2\.0 does not support more than 1 address per family/ });
  t.is(
    ips({ ...two, ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] } })
      .length,
    2,
  );
});

test('dataDir is where the leases are; without it, the place of the reference', (t) => {
  const { root, ips } = harness(t);
  ips(flat('10.1.0.0/24'));
  ips(flat('10.1.0.0/24', { dataDir: `${root}/elsewhere/` }));
  t.throws(() => mkdirSync(`${root}/var/lib/cni/networks/net/10.1.0.2`), { code: 'EEXIST' });
  t.throws(() => mkdirSync(`${root}/elsewhere/net/10.1.0.2`), { code: 'EEXIST' });
});

test('DEL frees without prevResult, twice, and although the ranges make no sense any more', (t) => {
  const { call, ips } = harness(t);
  ips(flat('10.1.0.0/24'));
  hostLocal.del(call(flat('10.1.0.9/24')));
  hostLocal.del(call({ ipam: { type: 'host-local' } }));
  t.deepEqual(ips(flat('10.1.0.0/24')), ['10.1.0.3/24']);
});

test('CHECK holds for what was given, and says what is missing', (t) => {
  const { call, ips } = harness(t);
  const conf = flat('10.1.0.0/24');
  const prev = (address: string) => ({
    ...conf,
    prevResult: { cniVersion: '1.1.0', ips: [{ address }, { address: '192.0.2.1/32' }] },
  });
  t.throws(() => hostLocal.check(call(conf)), {
    message: 'host-local: Failed to find address added by container c1 for "eth0"',
  });
  ips(conf);
  t.notThrows(() => hostLocal.check(call(prev('10.1.0.2/24'))));
  const error = t.throws(() => hostLocal.check(call(prev('10.1.0.5/24'))));
  t.true(hasCode(error, 'check-failed'));
  t.is(error?.message, 'host-local: Failed to find address 10.1.0.5 added by container c1, its leases are 10.1.0.2');
});

test('GC frees the leases of attachments that are not listed', (t) => {
  const { call, ips } = harness(t);
  const conf = flat('10.1.0.0/29');
  for (const containerId of ['a', 'b', 'c']) ips(conf, { containerId });
  hostLocal.gc(call({ ...conf, 'cni.dev/valid-attachments': [{ containerID: 'b', ifname: 'eth0' }] }));
  t.notThrows(() => hostLocal.check(call(conf, { containerId: 'b' })));
  t.throws(() => hostLocal.check(call(conf, { containerId: 'a' })));
});

test('STATUS is fine before the first ADD, and unavailable when a range set is full', (t) => {
  const { call, ips } = harness(t);
  const conf = flat('10.1.0.0/30');
  t.notThrows(() => hostLocal.status(call(conf)));
  ips(conf);
  const error = t.throws(() => hostLocal.status(call(conf)));
  t.true(hasCode(error, 'not-available'));
  t.is(error?.message, 'no IP addresses available in range set: 10.1.0.1-10.1.0.2, all 1 are taken');
});

const badConfs: readonly (readonly [object, RegExp])[] = [
  [{}, /"ipam" is missing/],
  [{ ipam: { type: 'host-local' } }, /^no IP ranges specified/],
  [flat('10.1.0.0'), /"ipam\.subnet" is "10\.1\.0\.0", expected an address with a prefix/],
  [{ ipam: { type: 'host-local', ranges: [{ subnet: '10.1.0.0/24' }] } }, /"ipam\.ranges\[0\]" is .*, expected a list/],
  [{ ipam: { type: 'host-local', ranges: [[{ subnet: 5 }]] } }, /"ipam\.ranges\[0\]\[0\]\.subnet" is 5/],
  [flat('10.1.0.0/24', { routes: [{ dst: 'x' }] }), /"ipam\.routes\[0\]\.dst" is "x"/],
  [flat('10.1.0.0/24', { gateway: '10.9.0.1' }), /gateway 10\.9\.0\.1 not in network 10\.1\.0\.0\/24/],
  [flat('10.1.0.0/24', { resolvConf: '/nowhere/resolv.conf' }), /Cannot open "\/nowhere\/resolv\.conf": ENOENT/],
];

for (const [conf, message] of badConfs) {
  test(`${JSON.stringify(conf)} is refused, and nothing is made`, (t) => {
    const { root, ips } = harness(t);
    t.throws(() => ips(conf), { message });
    t.notThrows(() => mkdirSync(`${root}/var`), 'no directory was made');
  });
}
