/** Routes in the live kernel, judged by `ip`. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { RTPROT_NETLOOM } from '../../src/rtnl/constants.ts';
import * as link from '../../src/rtnl/link.ts';
import * as route from '../../src/rtnl/route.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, ip } from '../support/host.ts';

becomeHost();

for (const [name, four, six] of [
  ['a0', '10.1.0.2/24', 'fd01::2/64'],
  ['b0', '10.2.0.2/24', 'fd02::2/64'],
] as const) {
  const script = `ip link add ${name} type veth peer name ${name}p
    ip link set ${name} up; ip link set ${name}p up
    ip addr add ${four} dev ${name}; ip addr add ${six} nodad dev ${name}`;
  execFileSync('bash', ['-e'], { input: script });
}

function index(name: string): number {
  using nl = openRoute();
  return link.get(nl, { name }).index;
}

function shown(family: 4 | 6, dst: string, table = 'all'): Record<string, unknown>[] {
  return ip(`-${family}`, 'route', 'show', 'table', table).filter((each) => each['dst'] === dst);
}

test('add makes a route by a gateway', (t) => {
  using nl = openRoute();
  nl.execute(route.add({ dst: Cidr.parse('10.10.0.0/16'), gateway: Ip.parse('10.1.0.1') }));
  t.like(shown(4, '10.10.0.0/16')[0], { gateway: '10.1.0.1', dev: 'a0', protocol: 'boot', scope: 'global' });
});

test('add makes a route to what is on the link', (t) => {
  using nl = openRoute();
  nl.execute(route.add({ dst: Cidr.parse('10.11.0.0/16'), oif: index('a0'), protocol: RTPROT_NETLOOM }));
  t.like(shown(4, '10.11.0.0/16')[0], { dev: 'a0', protocol: '110', scope: 'link' });
});

test('add takes a gateway that no address leads to with onlink', (t) => {
  using nl = openRoute();
  const spec = { dst: Cidr.parse('10.12.0.0/16'), gateway: Ip.parse('169.254.1.1'), oif: index('a0') };
  t.throws(() => nl.execute(route.add(spec)), { code: 'ENETUNREACH' });
  nl.execute(route.add({ ...spec, onlink: true }));
  t.like(shown(4, '10.12.0.0/16')[0], { gateway: '169.254.1.1', flags: ['onlink'] });
});

test('add sets priority, source, metrics and table', (t) => {
  using nl = openRoute();
  const spec = {
    dst: Cidr.parse('10.13.0.0/16'),
    gateway: Ip.parse('10.1.0.1'),
    priority: 77,
    src: Ip.parse('10.1.0.2'),
    mtu: 1300,
    advmss: 1200,
    table: 1000,
  };
  nl.execute(route.add(spec));
  t.like(shown(4, '10.13.0.0/16', '1000')[0], {
    metric: 77,
    prefsrc: '10.1.0.2',
    metrics: [{ mtu: 1300, advmss: 1200 }],
  });
  const found = route.list(nl, 4).find(({ dst }) => dst.equals(spec.dst));
  t.like(found, { ...spec, oif: index('a0'), scope: route.RT_SCOPE.UNIVERSE, type: route.RTN.UNICAST });
});

test('add makes default routes of both families', (t) => {
  using nl = openRoute();
  nl.executeAll([
    route.add({ dst: Cidr.parse('0.0.0.0/0'), gateway: Ip.parse('10.1.0.1') }),
    route.add({ dst: Cidr.parse('::/0'), gateway: Ip.parse('fd01::1'), oif: index('a0') }),
  ]);
  t.like(shown(4, 'default', 'main')[0], { gateway: '10.1.0.1', dev: 'a0' });
  t.like(shown(6, 'default', 'main')[0], { gateway: 'fd01::1', dev: 'a0' });
  t.throws(() => nl.execute(route.add({ dst: Cidr.parse('0.0.0.0/0'), gateway: Ip.parse('10.2.0.1') })), {
    code: 'EEXIST',
  });
});

test('IPv6 routes have metrics, tables and sources too', (t) => {
  using nl = openRoute();
  const spec = {
    dst: Cidr.parse('fd10::/32'),
    gateway: Ip.parse('fd01::1'),
    oif: index('a0'),
    priority: 5,
    mtu: 1300,
    src: Ip.parse('fd01::2'),
    table: 300,
  };
  nl.execute(route.add(spec));
  t.like(shown(6, 'fd10::/32', '300')[0], {
    gateway: 'fd01::1',
    dev: 'a0',
    metric: 5,
    prefsrc: 'fd01::2',
    metrics: [{ mtu: 1300 }],
  });
  t.like(
    route.list(nl, 6).find(({ dst }) => dst.equals(spec.dst)),
    spec,
  );
});

test('prepend puts a route before one to the same destination', (t) => {
  using nl = openRoute();
  const dst = Cidr.parse('10.20.0.0/16');
  nl.execute(route.add({ dst, gateway: Ip.parse('10.1.0.1') }));
  nl.execute(route.prepend({ dst, gateway: Ip.parse('10.2.0.1') }));
  t.deepEqual(
    shown(4, '10.20.0.0/16').map(({ gateway }) => gateway),
    ['10.2.0.1', '10.1.0.1'],
  );
  t.throws(() => nl.execute(route.prepend({ dst, gateway: Ip.parse('10.2.0.1') })), { code: 'EEXIST' });
});

test('prepended IPv6 routes by two gateways are listed as one each, though the kernel tells of one with two next hops', (t) => {
  using nl = openRoute();
  const dst = Cidr.parse('fd20::/32');
  nl.execute(route.prepend({ dst, gateway: Ip.parse('fd01::1'), oif: index('a0') }));
  nl.execute(route.prepend({ dst, gateway: Ip.parse('fd02::1'), oif: index('b0') }));
  t.deepEqual(
    route
      .list(nl, 6)
      .filter((each) => each.dst.equals(dst))
      .map(({ gateway, oif }) => [`${gateway}`, oif]),
    [
      ['fd01::1', index('a0')],
      ['fd02::1', index('b0')],
    ],
  );
});

test('replace takes the place of the route to the same destination', (t) => {
  using nl = openRoute();
  const dst = Cidr.parse('10.30.0.0/16');
  nl.execute(route.replace({ dst, gateway: Ip.parse('10.1.0.1') }));
  nl.execute(route.replace({ dst, gateway: Ip.parse('10.2.0.1') }));
  t.deepEqual(
    shown(4, '10.30.0.0/16').map(({ gateway }) => gateway),
    ['10.2.0.1'],
  );
});

test('remove needs to know no more of a route than where it leads to', (t) => {
  using nl = openRoute();
  for (const [dst, spec] of [
    ['10.40.0.0/16', { oif: index('a0'), protocol: RTPROT_NETLOOM }],
    ['10.41.0.0/16', { gateway: Ip.parse('10.1.0.1'), priority: 7 }],
    ['fd40::/32', { gateway: Ip.parse('fd01::1'), oif: index('a0'), protocol: RTPROT_NETLOOM }],
  ] as const) {
    const to = Cidr.parse(dst);
    nl.execute(route.add({ dst: to, ...spec }));
    t.is(shown(to.family, dst).length, 1, dst);
    nl.execute(route.remove({ dst: to }));
    t.is(shown(to.family, dst).length, 0, dst);
    t.throws(() => nl.execute(route.remove({ dst: to })), { code: 'ESRCH' });
  }
});

test('remove takes the one that it is told of, by table and priority', (t) => {
  using nl = openRoute();
  const spec = { dst: Cidr.parse('10.42.0.0/16'), gateway: Ip.parse('10.1.0.1') };
  nl.executeAll([1, 2].map((priority) => route.add({ ...spec, priority })));
  nl.execute(route.add({ ...spec, table: 500 }));
  nl.execute(route.remove({ dst: spec.dst, priority: 2 }));
  nl.execute(route.remove({ dst: spec.dst, table: 500 }));
  t.deepEqual(
    shown(4, '10.42.0.0/16').map(({ metric }) => metric),
    [1],
  );
});

test('list tells of the unicast routes of both families as ip does', (t) => {
  using nl = openRoute();
  nl.execute(route.replace({ dst: Cidr.parse('10.50.0.0/16'), gateway: Ip.parse('10.1.0.1') }));
  const text = ({ dst }: route.Route) =>
    dst.prefix === 0 ? 'default' : dst.prefix === (dst.family === 4 ? 32 : 128) ? `${dst.ip}` : `${dst}`;
  for (const family of [4, 6] as const) {
    const expected = ip(`-${family}`, 'route', 'show', 'table', 'all', 'type', 'unicast').flatMap(
      ({ dst, nexthops }) => (Array.isArray(nexthops) ? nexthops.map(() => String(dst)) : [String(dst)]),
    );
    t.deepEqual(route.list(nl, family).map(text).sort(), expected.sort());
  }
  t.true(route.list(nl).length > route.list(nl, 4).length);
});

test('list tells only of the routes of a link and of a protocol where asked for', (t) => {
  using nl = openRoute();
  const { index } = link.get(nl, { name: 'a0' });
  const marked = { dst: Cidr.parse('10.77.0.0/24'), oif: index, protocol: 111, priority: 3 };
  nl.execute(route.add(marked));
  const texts = (list: readonly route.Route[]) => list.map(({ dst, protocol }) => `${dst} ${protocol}`);
  t.deepEqual(texts(route.list(nl, 4, { protocol: 111 })), ['10.77.0.0/24 111']);
  const ofLink = route.list(nl, undefined, { oif: index });
  t.true(ofLink.length > 1 && ofLink.every(({ oif }) => oif === index));
  nl.execute(route.remove(marked));
});
