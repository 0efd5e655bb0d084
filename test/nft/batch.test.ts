/** Batches: their bytes, their atomicity, their errors, their size. */
import test from 'ava';
import { NetloomError } from '../../src/error.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import { NLM_F, type Request, readMessage } from '../../src/netlink/message.ts';
import { NetlinkSocket } from '../../src/netlink/socket.ts';
import type { Transport } from '../../src/netlink/transport.ts';
import { Writer } from '../../src/netlink/writer.ts';
import { commit } from '../../src/nft/batch.ts';
import * as chain from '../../src/nft/chain.ts';
import type { Verdict } from '../../src/nft/data.ts';
import { concat, ifname, inetService, ipv4Addr } from '../../src/nft/datatype.ts';
import * as element from '../../src/nft/element.ts';
import { ip } from '../../src/nft/fields/ip.ts';
import { tcp } from '../../src/nft/fields/transport.ts';
import * as generation from '../../src/nft/generation.ts';
import * as masquerade from '../../src/nft/masquerade.ts';
import { eq } from '../../src/nft/match.ts';
import { NFT_MSG } from '../../src/nft/message.ts';
import * as rule from '../../src/nft/rule.ts';
import { list as listRules } from '../../src/nft/rule-list.ts';
import * as set from '../../src/nft/set.ts';
import { openNft } from '../../src/nft/socket.ts';
import { verdict } from '../../src/nft/statements/verdict.ts';
import * as table from '../../src/nft/table.ts';
import { enterNewNetns, nft } from './netns.ts';

enterNewNetns();

const t1: table.Table = { family: 'inet', name: 't' };
const web: chain.Chain = { table: t1, name: 'web', comment: 'c' };
const post: chain.Chain = { table: t1, name: 'p', base: { type: 'nat', hook: 'postrouting', priority: 100 } };
const map: set.NftSet<Ip, Verdict> = { table: t1, name: 'm', key: ipv4Addr, data: 'verdict' };
const peers: set.NftSet<Ip> = { table: t1, name: 's', key: ipv4Addr };
const nets: set.NftSet<Ip> = { table: t1, name: 'n', key: ipv4Addr, interval: true };
const doors: set.NftSet<[Ip, string]> = { table: t1, name: 'd', key: concat(ipv4Addr, ifname), interval: true };
const ports: set.NftSet<number, [Ip, number]> = {
  table: t1,
  name: 'pm',
  key: inetService,
  data: concat(ipv4Addr, inetService),
};

test.afterEach.always(() => {
  nft('flush', 'ruleset');
});

/** A request's body as lines of hex, with the line breaks of the golden text. */
function body(request: Request): string {
  const out = new Writer();
  request.write(out);
  return Buffer.from(out.bytes).toString('hex');
}

/** Hex with a comment after each line. */
function golden(text: string): string {
  return text
    .split('\n')
    .map((line) => line.split('#')[0]?.replaceAll(/\s/g, ''))
    .join('');
}

function roundTrip(t: import('ava').ExecutionContext, request: Request, text: string): Record<string, unknown> {
  t.is(body(request), golden(text));
  const payload = new DataView(Uint8Array.from(Buffer.from(golden(text), 'hex')).buffer);
  return readMessage(request.kind, { type: request.type, flags: 0, sequence: 0, payload }).attrs as Record<
    string,
    unknown
  >;
}

test('a table is written and read as the kernel has it', (t) => {
  const attrs = roundTrip(
    t,
    table.add({ ...t1, comment: 'x' }),
    `01 00 0000      # nfgenmsg: NFPROTO_INET, version 0, resource 0
     0600 0100 7400 0000 # NFTA_TABLE_NAME "t", padded
     0800 0200 00000000  # NFTA_TABLE_FLAGS
     0800 0600 00 02 7800 # NFTA_TABLE_USERDATA: comment, 2 bytes, "x"`,
  );
  t.like(attrs, { name: 't', flags: 0, userdata: { comment: 'x' } });
});

test('a base chain is written and read as the kernel has it', (t) => {
  t.is(chain.add(post).flags, NLM_F.CREATE);
  t.is(chain.create(post).flags, NLM_F.CREATE | NLM_F.EXCL);
  t.is(chain.create(post).type, 0x0a03);
  const attrs = roundTrip(
    t,
    chain.create(post),
    `01 00 0000
     0600 0100 7400 0000 # NFTA_CHAIN_TABLE "t"
     0600 0300 7000 0000 # NFTA_CHAIN_NAME "p"
     0800 0700 6e617400  # NFTA_CHAIN_TYPE "nat"
     0800 0500 00000001  # NFTA_CHAIN_POLICY accept
     1400 0480           # NFTA_CHAIN_HOOK, nested
       0800 0100 00000004  # NFTA_HOOK_HOOKNUM postrouting
       0800 0200 00000064  # NFTA_HOOK_PRIORITY 100`,
  );
  t.like(attrs, { name: 'p', hook: { number: 4, priority: 100 }, type: 'nat' });
});

test('a verdict map and its element are written and read as the kernel has them', (t) => {
  roundTrip(
    t,
    set.add(map),
    `01 00 0000
     0600 0100 7400 0000 # NFTA_SET_TABLE "t"
     0600 0200 6d00 0000 # NFTA_SET_NAME "m"
     0800 0300 00000008  # NFTA_SET_FLAGS NFT_SET_MAP
     0800 0400 00000007  # NFTA_SET_KEY_TYPE ipv4_addr
     0800 0500 00000004  # NFTA_SET_KEY_LEN
     0800 0600 ffffff00  # NFTA_SET_DATA_TYPE NFT_DATA_VERDICT
     0800 0700 00000000  # NFTA_SET_DATA_LEN
     0800 0a00 00000001  # NFTA_SET_ID
     1600 0d00           # NFTA_SET_USERDATA
       00 04 02000000      # key in the packet's order
       01 04 00000000      # data in none
       06 04 00000000 0000 # data is no range; padding`,
  );
  const attrs = roundTrip(
    t,
    element.create(map, { key: Ip.parse('10.0.0.1'), data: { jump: 's' }, comment: 'x' }),
    `01 00 0000
     0600 0100 7400 0000 # NFTA_SET_ELEM_LIST_TABLE "t"
     0600 0200 6d00 0000 # NFTA_SET_ELEM_LIST_SET "m"
     3400 0380           # NFTA_SET_ELEM_LIST_ELEMENTS, nested
       3000 0180           # NFTA_LIST_ELEM, nested
         0c00 0180           # NFTA_SET_ELEM_KEY, nested
           0800 0100 0a000001  # NFTA_DATA_VALUE 10.0.0.1
         1800 0280           # NFTA_SET_ELEM_DATA, nested
           1400 0280           # NFTA_DATA_VERDICT, nested
             0800 0100 fffffffd  # NFTA_VERDICT_CODE NFT_JUMP
             0600 0200 7300 0000 # NFTA_VERDICT_CHAIN "s"
         0800 0600 00 02 7800 # NFTA_SET_ELEM_USERDATA: comment "x"`,
  );
  t.like(attrs, { elements: [{ data: { verdict: { code: -3, chain: 's' } }, userdata: { comment: 'x' } }] });
});

test('a rule is written and read as the kernel has it', (t) => {
  const attrs = roundTrip(
    t,
    rule.add(web, [eq(ip.saddr, Ip.parse('10.0.0.1')), verdict('accept')], { comment: 'r' }),
    `01 00 0000
     0600 0100 7400 0000 # NFTA_RULE_TABLE "t"
     0800 0200 77656200  # NFTA_RULE_CHAIN "web"
     e400 0480           # NFTA_RULE_EXPRESSIONS, nested
       2400 0180           # NFTA_LIST_ELEM, nested
         0900 0100 6d65746100 000000 # NFTA_EXPR_NAME "meta"
         1400 0280           # NFTA_EXPR_DATA, nested
           0800 0200 0000000f  # NFTA_META_KEY nfproto
           0800 0100 00000001  # NFTA_META_DREG
       2c00 0180
         0800 0100 636d7000  # "cmp"
         2000 0280
           0800 0100 00000001  # NFTA_CMP_SREG
           0800 0200 00000000  # NFTA_CMP_OP eq
           0c00 0380 0500 0100 02 000000 # NFTA_CMP_DATA: NFPROTO_IPV4
       3400 0180
         0c00 0100 7061796c6f616400 # "payload"
         2400 0280
           0800 0100 00000001  # NFTA_PAYLOAD_DREG
           0800 0200 00000001  # NFTA_PAYLOAD_BASE network
           0800 0300 0000000c  # NFTA_PAYLOAD_OFFSET
           0800 0400 00000004  # NFTA_PAYLOAD_LEN
       2c00 0180
         0800 0100 636d7000
         2000 0280
           0800 0100 00000001
           0800 0200 00000000
           0c00 0380 0800 0100 0a000001 # 10.0.0.1
       3000 0180
         0e00 0100 696d6d65646961746500 0000 # "immediate"
         1c00 0280
           0800 0100 00000000  # NFTA_IMMEDIATE_DREG verdict
           1000 0280 0c00 0280 0800 0100 00000001 # accept
     0800 0700 00 02 7200 # NFTA_RULE_USERDATA: comment "r"`,
  );
  t.deepEqual(
    (attrs['expressions'] as { name: string }[]).map(({ name }) => name),
    ['meta', 'cmp', 'payload', 'cmp', 'immediate'],
  );
});

test.serial('a batch is framed by BEGIN and END, and a success is not answered', (t) => {
  const seen: string[] = [];
  using socket = openNft({
    tap: (direction, datagram) => seen.push(`${direction} ${Buffer.from(datagram).toString('hex')}`),
  });
  commit(socket, [table.add(t1)]);
  t.deepEqual(seen, [
    `out ${golden(`
      14000000 1000 0100 01000000 00000000 # NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, sequence 1
      00 00 000a                           # nfgenmsg: the subsystem in the network's order
      24000000 000a 0104 02000000 00000000 # NFT_MSG_NEWTABLE, NLM_F_REQUEST | NLM_F_CREATE
      01 00 0000 0600 0100 7400 0000 0800 0200 00000000
      14000000 1100 0100 03000000 00000000 # NFNL_MSG_BATCH_END
      00 00 000a`)}`,
  ]);
});

test.serial('all of a batch takes effect or none, and the error is that of the first cause', (t) => {
  using socket = openNft();
  const error = t.throws(() =>
    commit(socket, [
      table.add(t1),
      chain.add(web),
      rule.add({ table: t1, name: 'nowhere' }, [eq(tcp.dport, 80)], { comment: 'it is' }),
      element.add(peers, { key: Ip.parse('10.0.0.1') }),
    ]),
  );
  t.true(error instanceof NetlinkError);
  t.is(
    error.message,
    'Cannot add the rule "tcp dport 80 comment "it is"" to the chain "inet t nowhere": ENOENT, no such file or directory',
  );
  t.is((error as NetlinkError).code, 'ENOENT');
  t.regex(
    (error as NetlinkError).details ?? '',
    /equivalent command: nft 'add rule inet t nowhere tcp dport 80 comment "it is"'/,
  );
  t.is(nft('list', 'ruleset'), '');
});

test.serial('a batch for a generation that has passed is refused', (t) => {
  using socket = openNft();
  const before = generation.get(socket);
  commit(socket, [table.add(t1)], { generation: before });
  const error = t.throws<NetloomError>(() => commit(socket, [table.remove(t1)], { generation: before }));
  t.is(error.code, 'ERESTART');
  t.truthy(table.get(socket, t1));
});

test.serial('a batch larger than the socket buffer goes through at once', (t) => {
  using socket = openNft();
  const keys = Array.from({ length: 20_000 }, (_, i) => ({
    key: Ip.fromBigInt(4, 0x0a000000n + BigInt(i)),
    comment: `net/${i}/eth0`,
  }));
  const requests = [table.add(t1), set.add(peers), ...element.addAll(peers, keys)];
  t.true(requests.length > 20);
  commit(socket, requests);
  t.is(element.list(socket, peers).length, keys.length);
  t.is(element.get(socket, peers, Ip.parse('10.0.78.31'))?.comment, 'net/19999/eth0');
});

test.serial('more errors than the socket holds still give the first cause', (t) => {
  using socket = openNft();
  const requests = Array.from({ length: 5000 }, (_, i) => element.add(peers, { key: Ip.fromBigInt(4, BigInt(i)) }));
  const error = t.throws<NetlinkError>(() => commit(socket, requests));
  t.is<unknown, unknown>(error.request, requests[0]);
  commit(socket, [table.add(t1)]);
  t.truthy(table.get(socket, t1));
});

test.serial('a value that does not fit leaves the socket usable', (t) => {
  using socket = openNft();
  t.throws(() => commit(socket, [table.add({ ...t1, comment: 'x'.repeat(300) })]), { message: /at most 254 fit/ });
  commit(socket, [table.add(t1)]);
  t.truthy(table.get(socket, t1));
});

test.serial('what was written is read back', (t) => {
  using socket = openNft();
  const [a, b] = [Ip.parse('10.0.0.1'), Ip.parse('10.0.0.9')];
  t.is(table.get(socket, t1), undefined);
  t.is(chain.get(socket, web), undefined);
  t.is(element.get(socket, peers, a), undefined);
  commit(socket, [
    table.add({ ...t1, comment: 'mine' }),
    chain.add(web),
    chain.add(post),
    rule.add(web, [eq(tcp.dport, 80), verdict('accept')], { comment: 'r' }),
    ...[map, peers, nets, doors, ports].map((each) => set.add(each as set.AnySet)),
    element.add(map, { key: a, data: { jump: 'web' }, comment: 'x' }),
    element.add(nets, { key: a, last: b, comment: 'range' }),
    element.add(nets, { key: Ip.parse('255.0.0.0'), last: Ip.parse('255.255.255.255') }),
    element.add(doors, { key: [a, 'eth0'], last: [b, 'eth0'] }),
    element.add(ports, { key: 80, data: [a, 8080] }),
  ]);
  t.deepEqual(table.get(socket, t1), { use: 7, comment: 'mine' });
  t.deepEqual(chain.get(socket, web), { name: 'web', use: 2, isBase: false, comment: 'c' });
  t.deepEqual(
    chain.list(socket, t1).map(({ name }) => name),
    ['web', 'p'],
  );
  t.deepEqual(
    set.list(socket, t1).map(({ name }) => name),
    ['m', 's', 'n', 'd', 'pm'],
  );
  t.deepEqual(element.get(socket, map, a), { key: a, last: undefined, data: { jump: 'web' }, comment: 'x' });
  t.is(element.get(socket, map, b), undefined);
  t.deepEqual(
    element.list(socket, nets).map(({ key, last, comment }) => `${key}-${last} ${comment}`),
    ['10.0.0.1-10.0.0.9 range', '255.0.0.0-255.255.255.255 undefined'],
  );
  t.deepEqual(
    element.list(socket, doors).map(({ key, last }) => `${key}-${last}`),
    ['10.0.0.1,eth0-10.0.0.9,eth0'],
  );
  t.deepEqual(
    element.list(socket, ports).map(({ key, data }) => `${key} ${data}`),
    ['80 10.0.0.1,8080'],
  );
  const [found] = listRules(socket, web);
  t.is(found?.comment, 'r');
  t.deepEqual(
    found?.expressions.map(({ name }) => name),
    ['meta', 'cmp', 'payload', 'cmp', 'immediate'],
  );
  commit(socket, [
    rule.remove(web, found?.handle ?? 0n),
    element.remove(nets, a, b),
    element.remove(doors, [a, 'eth0'], [b, 'eth0']),
  ]);
  t.deepEqual(listRules(socket, web), []);
  t.is(element.list(socket, nets).length, 1);
  t.is(element.list(socket, doors).length, 0);
});

/**
 * A kernel that answers a batch with one error, for the message at this place after BATCH_BEGIN, and a single request
 * with ENOENT.
 */
function kernelThatLacks(errno: number, place: number): NetlinkSocket {
  const answers: Uint8Array[] = [];
  const transport: Transport = {
    send(datagram) {
      const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
      const isBatch = view.getUint16(4, true) === 0x10;
      const answer = new DataView(new ArrayBuffer(36));
      answer.setUint32(0, 36, true);
      answer.setUint16(4, 2, true);
      answer.setUint16(6, 0x100, true);
      answer.setUint32(8, view.getUint32(8, true) + (isBatch ? place : 0), true);
      answer.setInt32(16, isBatch ? -errno : -2, true);
      answers.push(new Uint8Array(answer.buffer));
    },
    receive: () => answers.shift(),
    join: () => {},
    poll: () => false,
    close: () => {},
  };
  return new NetlinkSocket(12, { transport });
}

const endpoint = { ip: Ip.parse('10.0.0.1'), subnet: Cidr.parse('10.0.0.0/24'), comment: 'n/c/eth0' };

for (const [what, errno, kind, sentence] of [
  [
    'nf_tables',
    95,
    'batch',
    /^Cannot commit \d+ changes to nf_tables: the kernel lacks nf_tables \(CONFIG_NF_TABLES\)$/,
  ],
  ['NAT', 2, 'chain', /: the kernel lacks NAT chains in nf_tables \(CONFIG_NFT_NAT\)$/],
  ['masquerading', 2, 'rule', /: the kernel lacks an expression of nf_tables \(CONFIG_NFT_MASQ, CONFIG_NFT_NAT\)$/],
  ['root', 1, 'batch', /needs CAP_NET_ADMIN \(root\)$/],
] as const) {
  test(`a kernel without ${what} gives one sentence that names it`, (t) => {
    const requests = masquerade.plan(kernelThatLacks(errno, 0), endpoint);
    const place = requests.findIndex((request) => request.kind.name === kind) + 1;
    const error = t.throws<NetloomError>(() => masquerade.add(kernelThatLacks(errno, place), endpoint));
    t.regex(error.message, sentence);
    t.true(error instanceof NetloomError);
  });
}

test('every message has a type of its own', (t) => {
  t.is(new Set(Object.values(NFT_MSG)).size, Object.keys(NFT_MSG).length);
});
