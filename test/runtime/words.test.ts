/** The small languages of options: ports, `--network`, lines of hosts, resolv.conf. */
import test from 'ava';
import { parsePorts, portWords } from '../../src/runtime/ports.ts';
import { hostsOf, isHostPair, resolvConfOf } from '../../src/runtime/sandbox/files.ts';
import { modeOf } from '../../src/runtime/sandbox/mode.ts';

const ports: readonly [text: string, words: readonly string[]][] = [
  ['8080:80', ['8080->80/tcp']],
  ['8080:80/udp', ['8080->80/udp']],
  ['132:132/sctp', ['132->132/sctp']],
  ['127.0.0.1:8080:80', ['127.0.0.1:8080->80/tcp']],
  ['[::1]:8080:80', ['[::1]:8080->80/tcp']],
  [':8080:80', ['8080->80/tcp']],
  ['80', ['0->80/tcp']],
  [':80/udp', ['0->80/udp']],
  ['127.0.0.1::80-81', ['127.0.0.1:0->80/tcp', '127.0.0.1:0->81/tcp']],
  ['1-2:65534-65535/udp', ['1->65534/udp', '2->65535/udp']],
];
for (const [text, words] of ports) {
  test(`-p ${text}`, (t) => {
    t.deepEqual(parsePorts(text).map(portWords), words);
  });
}

for (const text of [
  '',
  'a',
  '0',
  'a:80',
  '80:b',
  '0:80',
  '80:65536',
  '2-1:1-2',
  '1-2:1',
  '1:1/',
  '1:1/icmp',
  '::1:1:1',
  '1:2:3:4',
  '-1:80',
  '1.2.3:1:1',
]) {
  test(`-p ${JSON.stringify(text)} is refused`, (t) => {
    t.throws(() => parsePorts(text), { code: 'invalid-port', message: /cannot be published: .*expected/ } as object);
  });
}

test('--network has networks with what is asked of each, in order', (t) => {
  t.deepEqual(modeOf(['web', 'db,ip=10.1.0.2,ip=fd00::2,mac=02-00-00-00-00-01,ifname=db0']), {
    kind: 'own',
    networks: [
      { network: 'web', ips: [] },
      { network: 'db', ips: ['10.1.0.2', 'fd00::2'], mac: '02:00:00:00:00:01', ifname: 'db0' },
    ],
  });
  t.deepEqual(modeOf([]), { kind: 'own', networks: [] });
  t.deepEqual(modeOf(['none']), { kind: 'own', networks: [] });
  t.deepEqual(modeOf(['host']), { kind: 'host' });
  t.deepEqual(modeOf(['container:docker:web']), { kind: 'container', target: 'docker:web' });
});

for (const given of [
  ['host', 'none'],
  ['host', 'host'],
  ['web', 'host'],
  ['container:a', 'web'],
  ['none', 'web'],
]) {
  test(`--network ${given.join(' and ')} are refused together`, (t) => {
    t.throws(() => modeOf(given), { code: 'exclusive-network' } as object);
  });
}

for (const given of [
  '',
  ',ip=10.1.0.1',
  'web,ip',
  'web,ip=x',
  'web,mac=x',
  'web,ifname=',
  'web,ifname=all',
  'web,name=x',
  'container:',
]) {
  test(`--network ${JSON.stringify(given)} is refused`, (t) => {
    t.throws(() => modeOf([given]));
  });
}

const nobody = { nameservers: [], search: [], addresses: [], gateways: [] };
const host = 'search home.arpa\nnameserver 127.0.0.53\nnameserver 9.9.9.9 \n# nameserver 1.1.1.1\noptions edns0\n';

test('resolv.conf: what was asked for, what the networks say, what the host has but for its own loopback', (t) => {
  const of = (nameservers: string[], search: string[], around: object = {}) =>
    resolvConfOf({ nameservers, search }, { ...nobody, ...around }, host);
  t.is(of([], []), 'search home.arpa\nnameserver 9.9.9.9\noptions edns0\n');
  t.is(of([], [], { nameservers: ['10.1.0.1'], search: ['lab'] }), 'search lab\nnameserver 10.1.0.1\noptions edns0\n');
  t.is(of(['8.8.8.8'], ['a', 'b'], { nameservers: ['10.1.0.1'] }), 'search a b\nnameserver 8.8.8.8\noptions edns0\n');
  t.is(of(['8.8.8.8'], ['.']), 'nameserver 8.8.8.8\noptions edns0\n');
});

test('hosts: the loopback, the sandbox, what was added', (t) => {
  t.is(
    hostsOf(
      { name: 'site', hosts: ['a:10.1.0.9', 'b=fd00::9'] },
      { ...nobody, addresses: ['10.1.0.2/24', 'fd00::2/64'] },
    ),
    '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.0.2\tsite\nfd00::2\tsite\n10.1.0.9\ta\nfd00::9\tb\n',
  );
  const around = { ...nobody, gateways: ['10.1.0.1', 'fd00::1'] };
  t.regex(hostsOf({ name: 'site', hosts: ['up:host-gateway'] }, around), /^10\.1\.0\.1\tup\nfd00::1\tup$/m);
  for (const pair of ['a:10.1.0.9', 'a=fd00::9', 'a:fd00::9', 'a:host-gateway']) t.true(isHostPair(pair), pair);
  for (const pair of ['a', ':10.1.0.9', 'a:', 'a b:10.1.0.9', 'a:10.1']) t.false(isHostPair(pair), pair);
});
