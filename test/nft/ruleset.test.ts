/**
 * Everything that src/nft can write, judged by nft: our batch, and nft with our own texts, must make the same ruleset.
 */
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import type { Request } from '../../src/netlink/message.ts';
import { commit } from '../../src/nft/batch.ts';
import * as chain from '../../src/nft/chain.ts';
import type { Verdict } from '../../src/nft/data.ts';
import * as types from '../../src/nft/datatype.ts';
import * as element from '../../src/nft/element.ts';
import { concat } from '../../src/nft/field.ts';
import { jhash, numgen } from '../../src/nft/fields/balance.ts';
import { ct } from '../../src/nft/fields/ct.ts';
import { ether } from '../../src/nft/fields/ether.ts';
import { fibType } from '../../src/nft/fields/fib.ts';
import { ip, ip6 } from '../../src/nft/fields/ip.ts';
import { meta } from '../../src/nft/fields/meta.ts';
import { tcp, th, udp } from '../../src/nft/fields/transport.ts';
import {
  between,
  eq,
  has,
  inSet,
  masked,
  ne,
  notInSet,
  notWithin,
  outside,
  vmap,
  within,
} from '../../src/nft/match.ts';
import * as rule from '../../src/nft/rule.ts';
import * as set from '../../src/nft/set.ts';
import { openNft } from '../../src/nft/socket.ts';
import type { Statement } from '../../src/nft/statement.ts';
import { copyMark, keepBits, setBits, setMark } from '../../src/nft/statements/mark.ts';
import { dnat, dnatMap, masquerade, redirect, snat, snatMap } from '../../src/nft/statements/nat.ts';
import { counter, limit, log, notrack, reject, reset } from '../../src/nft/statements/other.ts';
import { verdict } from '../../src/nft/statements/verdict.ts';
import * as table from '../../src/nft/table.ts';
import { enterNewNetns, nft, ruleset, shell } from './netns.ts';

enterNewNetns();

const inet: table.Table = { family: 'inet', name: 't', comment: 'a table' };
const plain: chain.Chain = { table: inet, name: 'plain', comment: 'a chain' };
const other: chain.Chain = { table: inet, name: 'other' };
const pre: chain.Chain = { table: inet, name: 'pre', base: { type: 'nat', hook: 'prerouting', priority: -100 } };
const post: chain.Chain = { table: inet, name: 'post', base: { type: 'nat', hook: 'postrouting', priority: 100 } };
const raw: chain.Chain = { table: inet, name: 'raw', base: { type: 'filter', hook: 'prerouting', priority: -300 } };
const forward: chain.Chain = {
  table: inet,
  name: 'forward',
  base: { type: 'filter', hook: 'forward', priority: 5, policy: 'drop' },
  comment: 'a base chain',
};
const chains = [plain, other, pre, post, raw, forward];

const peers: set.NftSet<Ip> = { table: inet, name: 'peers', key: types.ipv4Addr, comment: 'a set' };
const peers6: set.NftSet<Ip> = { table: inet, name: 'peers6', key: types.ipv6Addr, size: 1000 };
const nets: set.NftSet<Ip> = { table: inet, name: 'nets', key: types.ipv4Addr, interval: true, autoMerge: true };
const names: set.NftSet<string> = { table: inet, name: 'names', key: types.ifname };
const marks: set.NftSet<number, number> = { table: inet, name: 'marks', key: types.mark, data: types.mark };
const doors: set.NftSet<[Ip, number]> = {
  table: inet,
  name: 'doors',
  key: types.concat(types.ipv4Addr, types.inetService),
};
const doors6: set.NftSet<[Ip, string]> = {
  table: inet,
  name: 'doors6',
  key: types.concat(types.ipv6Addr, types.ifname),
};
const zones: set.NftSet<[Ip, string | number, number]> = {
  table: inet,
  name: 'zones',
  key: types.concat<[Ip, string | number, number]>(
    types.ipv4Addr,
    types.inetProto as types.DataType<string | number>,
    types.inetService,
  ),
  interval: true,
};
const verdicts: set.NftSet<Ip, Verdict> = {
  table: inet,
  name: 'verdicts',
  key: types.ipv4Addr,
  data: 'verdict',
  comment: 'a verdict map',
};
const verdicts6: set.NftSet<Ip, Verdict> = { table: inet, name: 'verdicts6', key: types.ipv6Addr, data: 'verdict' };
const zoneVerdicts: set.NftSet<Ip, Verdict> = {
  table: inet,
  name: 'zoneverdicts',
  key: types.ipv4Addr,
  data: 'verdict',
  interval: true,
};
const ports: set.NftSet<[string | number, number], [Ip, number]> = {
  table: inet,
  name: 'ports',
  key: types.concat<[string | number, number]>(types.inetProto as types.DataType<string | number>, types.inetService),
  data: types.concat(types.ipv4Addr, types.inetService),
};
const ports6: set.NftSet<number, [Ip, number]> = {
  table: inet,
  name: 'ports6',
  key: types.inetService,
  data: types.concat(types.ipv6Addr, types.inetService),
};
const backends: set.NftSet<number, Ip> = { table: inet, name: 'backends', key: types.integer32, data: types.ipv4Addr };
const sources: set.NftSet<Ip, Ip> = { table: inet, name: 'sources', key: types.ipv4Addr, data: types.ipv4Addr };

const a = Ip.parse('10.1.0.2');
const b = Ip.parse('10.1.0.9');
const six = Ip.parse('fd00::2');
const skeleton = [table.add(inet), ...chains.map(chain.add)];

/** Applies our batch, then our texts with nft, each to an empty ruleset. */
function sameAsNft(t: import('ava').ExecutionContext, requests: readonly Request[], isExact = true): void {
  using socket = openNft();
  commit(socket, requests);
  const ours = ruleset();
  nft('flush', 'ruleset');
  shell(requests.map((request) => request.command));
  const theirs = ruleset();
  nft('flush', 'ruleset');
  t.is(ours.text, theirs.text);
  t.deepEqual(ours.json, theirs.json);
  if (isExact) t.is(ours.bytecode, theirs.bytecode);
}

test.serial('tables and chains with comments are as nft makes them', (t) => {
  sameAsNft(t, skeleton);
});

test.serial('tables of the families ip and ip6 need no test of the family', (t) => {
  const four: table.Table = { family: 'ip', name: 'four' };
  const sixTable: table.Table = { family: 'ip6', name: 'six' };
  const web: chain.Chain = { table: four, name: 'web' };
  const web6: chain.Chain = { table: sixTable, name: 'web' };
  sameAsNft(t, [
    table.create(four),
    table.create(sixTable),
    chain.create(web),
    chain.create(web6),
    rule.add(web, [eq(ip.saddr, a), eq(tcp.dport, 80)]),
    rule.add(web6, [eq(ip6.saddr, six), eq(tcp.dport, 80)]),
  ]);
});

const sets: readonly set.AnySet[] = [
  peers,
  peers6,
  nets,
  names,
  marks,
  doors,
  doors6,
  zones,
  verdicts,
  verdicts6,
  zoneVerdicts,
  ports,
  ports6,
  sources,
];

test.serial('sets and maps with elements and comments are as nft makes them', (t) => {
  sameAsNft(
    t,
    [
      ...skeleton,
      ...sets.map(set.add),
      element.add(peers, { key: a, comment: 'net/container/eth0' }),
      element.create(peers, { key: b }),
      element.add(peers6, { key: six }),
      element.add(nets, { key: Ip.parse('10.2.0.0'), last: Ip.parse('10.2.0.255'), comment: 'a range' }),
      element.add(nets, { key: Ip.parse('10.3.0.1') }),
      element.add(nets, { key: Ip.parse('255.255.255.0'), last: Ip.parse('255.255.255.255') }),
      element.add(names, { key: 'eth0' }),
      element.add(marks, { key: 1, data: 0x2000 }),
      element.add(doors, { key: [a, 80] }),
      element.add(doors6, { key: [six, 'eth0'] }),
      element.add(zones, { key: [Ip.parse('10.4.0.0'), 'tcp', 80], last: [Ip.parse('10.4.0.255'), 'tcp', 90] }),
      element.add(zones, { key: [a, 'udp', 53], comment: 'one' }),
      element.add(verdicts, { key: a, data: { jump: 'other' }, comment: 'to other' }),
      element.add(verdicts, { key: b, data: 'accept' }),
      element.add(verdicts6, { key: six, data: { goto: 'other' } }),
      element.add(zoneVerdicts, { key: a, last: b, data: 'drop', comment: 'range' }),
      element.add(ports, { key: ['tcp', 80], data: [a, 8080], comment: 'port map' }),
      element.add(ports6, { key: 80, data: [six, 8080] }),
      element.add(sources, { key: a, data: b }),
      // NB: not an exact dump: the kernel orders hashes by itself, and nft adds an end at zero to the first range of a
      // set.
    ],
    false,
  );
});

const matches: readonly (readonly [string, readonly Statement[]])[] = [
  ['ip saddr', [eq(ip.saddr, a)]],
  ['ip daddr !=', [ne(ip.daddr, a)]],
  ['ip daddr prefix of whole bytes', [within(ip.daddr, Cidr.parse('10.1.0.0/16'))]],
  ['ip daddr prefix', [notWithin(ip.daddr, Cidr.parse('10.1.0.0/28'))]],
  ['ip daddr prefix of a host', [within(ip.daddr, Cidr.parse('10.1.0.1/32'))]],
  ['multicast', [within(ip.daddr, Cidr.parse('224.0.0.0/4')), verdict('return')]],
  ['ip6 prefix', [within(ip6.saddr, Cidr.parse('fe80::/10'))]],
  ['ip6 prefix of whole bytes', [notWithin(ip6.daddr, Cidr.parse('fd00::/64'))]],
  ['ip6 multicast', [within(ip6.daddr, Cidr.parse('ff00::/8')), verdict('return')]],
  ['source and destination', [eq(ip.saddr, a), eq(ip.daddr, b)]],
  ['interfaces', [eq(meta.iifname, 'eth0'), ne(meta.oifname, 'eth1')]],
  ['interfaces by pattern', [eq(meta.iifname, 'veth*')]],
  ['interface by index', [eq(meta.iif, 1)]],
  ['port', [eq(tcp.dport, 80)]],
  ['ports', [between(tcp.dport, 80, 90)]],
  ['not ports', [outside(udp.sport, 80, 90)]],
  ['address and port', [eq(ip.daddr, a), eq(tcp.dport, 80), verdict('accept')]],
  ['nfproto', [eq(meta.nfproto, 'ipv4')]],
  ['l4proto', [eq(meta.l4proto, 'tcp')]],
  ['packet type', [eq(meta.pkttype, 'multicast')]],
  ['ip protocol', [eq(ip.protocol, 'udp')]],
  ['state', [has(ct.state, 'established', 'related'), verdict('accept')]],
  ['state invalid', [has(ct.state, 'invalid'), verdict('drop')]],
  ['status', [has(ct.status, 'dnat')]],
  ['direction', [eq(ct.direction, 'original')]],
  ['ct mark', [eq(ct.mark, 1)]],
  ['mark', [eq(meta.mark, 1)]],
  ['bits of the mark', [masked(meta.mark, 0x2000, 0x2000)]],
  ['bits of the mark not', [masked(meta.mark, 0xff, 1, 'neq')]],
  ['original port', [eq(meta.l4proto, 'tcp'), eq(ct.original.protoDst, 80)]],
  ['original address', [eq(ct.original.ipDaddr, a)]],
  ['fib', [eq(fibType('daddr'), 'local')]],
  ['fib of an interface', [ne(fibType('daddr', 'iif'), 'local')]],
  ['ethernet', [eq(ether.saddr, parseMac('02:00:00:00:00:01'))]],
  ['set', [inSet(ip.saddr, peers)]],
  ['no set', [notInSet(ip6.saddr, peers6)]],
  ['interval set', [inSet(ip.saddr, nets)]],
  ['concatenation', [inSet(concat(ip.daddr, tcp.dport), doors)]],
  ['concatenation of 20 bytes', [inSet(concat(ip6.daddr, meta.oifname), doors6)]],
  ['vmap', [vmap(ip.saddr, verdicts)]],
  ['vmap 6', [vmap(ip6.saddr, verdicts6)]],
  ['counter', [counter()]],
  ['log', [log('netloom: ', 'info')]],
  ['reject', [reject()]],
  ['reject 2', [reject('admin-prohibited')]],
  ['reset', [eq(tcp.dport, 80), reset()]],
  ['limit', [limit(10, 'second')]],
  ['mark set', [setMark('meta', 3)]],
  ['ct mark set', [setMark('ct', 2)]],
  ['mark bits', [setBits('meta', 0x2000)]],
  ['mark keep', [keepBits('meta', 0xffffdfff)]],
  ['mark copy', [copyMark('ct', 'meta')]],
  ['mark copy back', [copyMark('meta', 'ct')]],
  ['jump', [verdict({ jump: 'other' })]],
  ['goto', [verdict({ goto: 'other' })]],
  ['continue', [counter(), verdict('continue')]],
];

test.serial('every match and statement is as nft makes it', (t) => {
  sameAsNft(t, [
    ...skeleton,
    ...sets.map(set.add),
    ...matches.map(([comment, statements]) => rule.add(plain, statements, { comment })),
    rule.add(raw, [eq(udp.dport, 4789), notrack()]),
  ]);
});

test.serial('every translation is as nft makes it', (t) => {
  sameAsNft(t, [
    ...skeleton,
    ...sets.map(set.add),
    ...[
      [eq(meta.l4proto, 'tcp'), dnat(a, 80)],
      [dnat(a)],
      [eq(meta.l4proto, 'udp'), dnat(six, 53)],
      [dnat(six)],
      [
        dnatMap(
          4,
          concat(meta.l4proto, th.dport) as import('../../src/nft/field.ts').Field<[string | number, number]>,
          ports,
          true,
        ),
      ],
      [dnatMap(6, tcp.dport, ports6, true)],
      [eq(meta.l4proto, 'tcp'), redirect(8080)],
      [redirect()],
    ].map((statements) => rule.add(pre, statements)),
    ...[
      [masquerade()],
      [masquerade('random', 'fully-random')],
      [snat(a)],
      [eq(meta.l4proto, 'tcp'), snat(six, 1024)],
      [snatMap(4, ip.saddr, sources, false)],
    ].map((statements) => rule.add(post, statements)),
  ]);
});

test.serial('back ends are chosen in turn, at random or by a hash', (t) => {
  // NB: nft cannot declare this map by type: it writes `typeof numgen …` or an anonymous map. The kernel accepts it,
  // and nft lists it.
  using socket = openNft();
  commit(socket, [
    ...skeleton,
    set.add(backends),
    element.add(backends, { key: 0, data: a }),
    element.add(backends, { key: 1, data: b }),
    rule.add(pre, [dnatMap(4, numgen('inc', 2), backends, false)]),
    rule.add(pre, [dnatMap(4, numgen('random', 2), backends, false)]),
    rule.add(pre, [dnatMap(4, jhash(ip.saddr, 2, 0xdeadbeef), backends, false)]),
    rule.add(pre, [dnatMap(4, jhash(concat(ip.saddr, tcp.dport), 2), backends, false)]),
  ]);
  const { text } = ruleset();
  nft('flush', 'ruleset');
  for (const line of [
    'dnat ip to numgen inc mod 2 map @backends',
    'dnat ip to numgen random mod 2 map @backends',
    'dnat ip to jhash ip saddr mod 2 seed 0xdeadbeef map @backends',
    'dnat ip to jhash ip saddr . tcp dport mod 2 map @backends',
  ]) {
    t.true(text.includes(line), line);
  }
});
