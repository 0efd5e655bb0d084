/** Addresses in the live kernel, judged by `ip`. */
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import * as addr from '../../src/rtnl/addr.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, ip } from '../support/host.ts';

becomeHost();

interface IpAddress {
  readonly local: string;
  readonly prefixlen: number;
  readonly broadcast?: string;
  readonly scope: string;
  readonly noprefixroute?: boolean;
  readonly nodad?: boolean;
  readonly tentative?: boolean;
}

function pair(name: string): number {
  using nl = openRoute();
  const peer = { attrs: { name: `${name}p` } };
  nl.execute(link.add({ name, linkinfo: { kind: 'veth', data: { peer } } }, { up: true }));
  nl.execute(link.set({ name: `${name}p` }, {}, { up: true }));
  return link.get(nl, { name }).index;
}

function shown(name: string, text: string): IpAddress | undefined {
  const [found] = ip<{ readonly addr_info: readonly IpAddress[] }>('addr', 'show', 'dev', name);
  return found?.addr_info.find(({ local, prefixlen }) => `${local}/${prefixlen}` === text);
}

function routed(name: string, dst: string): boolean {
  return ip<{ readonly dst: string }>('route', 'show', 'dev', name).some((route) => route.dst === dst);
}

test('add gives a link an IPv4 address with broadcast address and route', (t) => {
  using nl = openRoute();
  nl.execute(addr.add(pair('a'), Cidr.parse('10.1.0.2/24')));
  t.like(shown('a', '10.1.0.2/24'), { broadcast: '10.1.0.255', scope: 'global' });
  t.true(routed('a', '10.1.0.0/24'));
});

test('add leaves out the broadcast address and the route where it is told to', (t) => {
  using nl = openRoute();
  nl.execute(addr.add(pair('b'), Cidr.parse('10.2.0.2/24'), { broadcast: false, noPrefixRoute: true }));
  const there = shown('b', '10.2.0.2/24');
  t.is(there?.broadcast, undefined);
  t.is(there?.noprefixroute, true);
  t.false(routed('b', '10.2.0.0/24'));
});

test('prefixes of 31 and 32 bits have no broadcast address', (t) => {
  using nl = openRoute();
  const index = pair('c');
  nl.executeAll([addr.add(index, Cidr.parse('10.3.0.2/31')), addr.add(index, Cidr.parse('10.3.1.2/32'))]);
  t.is(shown('c', '10.3.0.2/31')?.broadcast, undefined);
  t.is(shown('c', '10.3.1.2/32')?.broadcast, undefined);
});

test('an IPv6 address with nodad is never tentative', (t) => {
  using nl = openRoute();
  const index = pair('d');
  nl.executeAll([
    addr.add(index, Cidr.parse('fd00::2/64'), { nodad: true }),
    addr.add(index, Cidr.parse('fd01::2/64')),
  ]);
  t.like(shown('d', 'fd00::2/64'), { nodad: true, tentative: undefined });
  const flags = (text: string) =>
    addr.list(nl, { link: index }).find(({ address }) => `${address}` === text)?.flags ?? 0;
  t.is(flags('fd00::2/64') & (addr.IFA_F.NODAD | addr.IFA_F.TENTATIVE), addr.IFA_F.NODAD);
  t.is(flags('fd01::2/64') & addr.IFA_F.NODAD, 0);
});

test('remove takes one address away', (t) => {
  using nl = openRoute();
  const index = pair('e');
  const both = [Cidr.parse('10.5.0.2/24'), Cidr.parse('fd05::2/64')] as const;
  nl.executeAll(both.map((each) => addr.add(index, each)));
  nl.executeAll(both.map((each) => addr.remove(index, each)));
  t.is(shown('e', '10.5.0.2/24'), undefined);
  t.is(shown('e', 'fd05::2/64'), undefined);
});

test('list tells of the addresses of all links, one link, one family', (t) => {
  using nl = openRoute();
  const index = pair('f');
  nl.executeAll([
    addr.add(index, Cidr.parse('10.6.0.2/24')),
    addr.add(index, Cidr.parse('fd06::2/64'), { nodad: true }),
  ]);
  const texts = (only?: Parameters<typeof addr.list>[1]) => addr.list(nl, only).map(({ address }) => `${address}`);
  t.true(texts().includes('127.0.0.1/8'));
  t.true(texts().includes('fd06::2/64'));
  t.deepEqual(texts({ link: index, family: 4 }), ['10.6.0.2/24']);
  t.true(texts({ link: index, family: 6 }).includes('fd06::2/64'));
  t.false(texts({ family: 6 }).includes('10.6.0.2/24'));
  t.like(addr.list(nl, { link: index, family: 4 })[0], { link: index, scope: 0, flags: addr.IFA_F.PERMANENT });
});

test('list agrees with ip on every address', (t) => {
  using nl = openRoute();
  const expected = ip<{ readonly ifindex: number; readonly addr_info: readonly IpAddress[] }>('addr', 'show').flatMap(
    ({ ifindex, addr_info }) => addr_info.map(({ local, prefixlen }) => `${ifindex} ${local}/${prefixlen}`),
  );
  t.deepEqual(
    addr
      .list(nl)
      .map(({ link: index, address }) => `${index} ${address}`)
      .sort(),
    expected.sort(),
  );
});
