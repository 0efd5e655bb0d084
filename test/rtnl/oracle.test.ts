/**
 * The npm package `netlink`, written by others from the same kernel headers, judges what we write and read: messages of
 * the live kernel, and generated ones.
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { AttrStream, getMap, ifla, rt } from 'netlink';
import { Ip } from '../../src/net/ip.ts';
import { macBytes } from '../../src/net/mac.ts';
import { writeAttrs } from '../../src/netlink/attribute.ts';
import { type MessageKind, messagesOf, type RawMessage, readMessage } from '../../src/netlink/message.ts';
import * as addr from '../../src/rtnl/addr.ts';
import * as link from '../../src/rtnl/link.ts';
import type { LinkInfo } from '../../src/rtnl/link-info.ts';
import * as neigh from '../../src/rtnl/neigh.ts';
import * as route from '../../src/rtnl/route.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { hex, viewOf, written } from '../netlink/bytes.ts';
import { becomeHost } from '../support/host.ts';
import { rtnetlink } from './arbitraries.ts';

becomeHost();

type Values = Readonly<Record<string, unknown>>;

/** The names of attributes in that package, by ours. */
interface Judge {
  readonly kind: MessageKind;
  readonly header: Values;
  readonly attrs: Values;
  parse(data: Buffer): { readonly data: object; readonly attrs: object };
  format(message: never, out: AttrStream): void;
}

const judges: readonly Judge[] = [
  {
    kind: link.linkKind,
    header: { family: 'family', index: 'index' },
    attrs: {
      address: 'address',
      broadcast: 'broadcast',
      name: 'ifname',
      mtu: 'mtu',
      link: 'link',
      qdisc: 'qdisc',
      master: 'master',
      txqueuelen: 'txqlen',
      operstate: 'operstate',
      netnsPid: 'netNsPid',
      alias: 'ifalias',
      group: 'group',
      netnsFd: 'netNsFd',
      promiscuity: 'promiscuity',
      numTxQueues: 'numTxQueues',
      numRxQueues: 'numRxQueues',
      carrier: 'carrier',
      linkNetnsid: 'linkNetnsid',
    },
    parse: rt.parseLinkMessage,
    format: rt.formatLinkMessage,
  },
  {
    kind: addr.addrKind,
    header: { family: 'family', prefix: 'prefixlen', scope: 'scope', index: 'index' },
    attrs: { address: 'address', local: 'local', label: 'label', broadcast: 'broadcast', metric: 'rtPriority' },
    parse: rt.parseAddressMessage,
    format: rt.formatAddressMessage,
  },
  {
    kind: route.routeKind,
    header: { family: 'family', dstLength: 'dstLen', srcLength: 'srcLen', tos: 'tos', table: 'table' },
    attrs: {
      dst: 'dst',
      src: 'src',
      oif: 'oif',
      gateway: 'gateway',
      priority: 'priority',
      prefsrc: 'prefsrc',
      table: 'table',
      pref: 'pref',
    },
    parse: rt.parseRouteMessage,
    format: rt.formatRouteMessage,
  },
  {
    kind: neigh.neighKind,
    header: { family: 'family', index: 'ifindex', type: 'type' },
    attrs: { dst: 'dst', lladdr: 'lladdr', probes: 'probes', vlan: 'vlan', master: 'master' },
    parse: rt.parseNeighborMessage,
    format: rt.formatNeighborMessage,
  },
];

/** A value in a form that both sides can have: numbers and text as they are, everything else as bytes. */
function comparable(value: unknown, theirs: unknown): unknown {
  if (value instanceof Ip) return hex(value.bytes);
  if (value instanceof Uint8Array) return hex(value);
  if (theirs instanceof Uint8Array && typeof value === 'string') return hex(macBytes(value as never));
  if (theirs instanceof Uint8Array && typeof value === 'number') {
    const wide = new Uint8Array(Uint32Array.of(value).buffer);
    return hex(wide.subarray(0, theirs.length));
  }
  return value;
}

/** What both sides read from a message. */
function compare(judge: Judge, payload: Uint8Array): readonly [ours: Values, theirs: Values] {
  const raw: RawMessage = { type: 0, flags: 0, sequence: 0, payload: viewOf(payload) };
  const our = readMessage(judge.kind, raw);
  const their = judge.parse(Buffer.from(payload));
  const ours: Record<string, unknown> = {};
  const theirs: Record<string, unknown> = {};
  const pairs: readonly [string, Values, Values, Values][] = [
    ['header', judge.header, our.header, their.data as Values],
    ['attrs', judge.attrs, our.attrs, their.attrs as Values],
  ];
  for (const [part, names, mine, others] of pairs) {
    for (const [name, theirName] of Object.entries(names)) {
      const other = others[String(theirName)];
      ours[`${part}.${name}`] = comparable(mine[name], other);
      theirs[`${part}.${name}`] = other instanceof Uint8Array ? hex(other) : other;
    }
  }
  return [ours, theirs];
}

for (const judge of judges) {
  const attrs = rtnetlink.find(({ kind }) => kind === judge.kind)?.attrs;
  if (attrs === undefined) throw new Error(`no arbitrary for ${judge.kind.name}`);

  // The other package takes only bytes for addresses, and accepts no attribute of an unexpected length.
  test(`the other package reads any ${judge.kind.name} that we write as we do, and we read what it writes back`, (t) => {
    fc.assert(
      fc.property(attrs, (values) => {
        const known = Object.fromEntries(Object.entries(values).filter(([name]) => name in judge.attrs));
        const payload = written((out) => {
          judge.kind.header.write(out, {});
          writeAttrs(out, judge.kind.attrs, known);
        });
        const [ours, theirs] = compare(judge, payload);
        t.deepEqual(ours, theirs);

        const out = new AttrStream();
        judge.format(judge.parse(Buffer.from(payload)) as never, out);
        const back = Buffer.concat(out.bufs);
        const { attrs: read } = readMessage(judge.kind, { type: 0, flags: 0, sequence: 0, payload: viewOf(back) });
        t.deepEqual(read, known);
      }),
      { numRuns: 300 },
    );
  });
}

/** The payloads of the messages with which the live kernel answers a dump. */
function payloads(dump: (nl: ReturnType<typeof openRoute>) => unknown): Uint8Array[] {
  const found: Uint8Array[] = [];
  using nl = openRoute({
    tap: (direction, datagram) => {
      if (direction === 'out') return;
      for (const { type, payload } of messagesOf(datagram.slice())) {
        if (type >= 16) found.push(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength));
      }
    },
  });
  dump(nl);
  return found;
}

test.before(() => {
  const script = `
    ip link add br0 type bridge stp_state 1 forward_delay 900 ageing_time 12300
    ip link add v0 mtu 1400 txqueuelen 77 numtxqueues 3 alias "an alias" master br0 type veth peer name v1 address 02:42:0a:01:00:02
    ip link set v0 type bridge_slave hairpin on isolated on cost 42
    ip link set v1 group 7 promisc on
    ip link set br0 up; ip link set v0 up; ip link set v1 up
    ip addr add 10.1.0.2/24 brd + label v1:a dev v1
    ip addr add 10.9.0.1 peer 10.9.0.2 dev v1
    ip addr add fd00::2/64 nodad metric 77 dev v1
    ip route add 10.2.0.0/16 via 10.1.0.1 metric 100 mtu 1300 src 10.1.0.2
    ip route add default via 10.1.0.1 table 1000
    ip -6 route add fd01::/64 nexthop via fd00::1 dev v1 nexthop via fd00::9 dev v1
    ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 nud permanent dev v1
    ip neigh add fd00::9 lladdr 02:00:00:00:00:09 nud stale dev v1`;
  execFileSync('bash', ['-e'], { input: script, stdio: ['pipe', 'inherit', 'inherit'] });
});

const dumps: readonly [Judge | undefined, (nl: ReturnType<typeof openRoute>) => readonly unknown[]][] = [
  [judges[0], link.list],
  [judges[1], addr.list],
  [judges[2], route.list],
  [judges[3], neigh.list],
];

for (const [judge, dump] of dumps) {
  if (judge === undefined) throw new Error('a judge is missing');
  test(`the other package reads every ${judge.kind.name} of the live kernel as we do`, (t) => {
    const found = payloads(dump);
    t.true(found.length > 1);
    for (const payload of found) {
      const [ours, theirs] = compare(judge, payload);
      t.deepEqual(ours, theirs);
    }
  });
}

test('the other package reads kind and port data of a bridge as we do', (t) => {
  const links = payloads(link.list).map((payload) => {
    const { attrs } = readMessage(link.linkKind, { type: 0, flags: 0, sequence: 0, payload: viewOf(payload) });
    return { name: attrs.name, ours: attrs.linkinfo, theirs: rt.parseLinkMessage(Buffer.from(payload)).attrs.linkinfo };
  });
  const find = (name: string): { ours: LinkInfo; theirs: Map<number, Buffer> } => {
    const found = links.find((each) => each.name === name);
    if (found?.ours === undefined || found.theirs === undefined) throw new Error(`${name} has no linkinfo`);
    return { ours: found.ours, theirs: getMap(found.theirs, (part) => part) };
  };
  const bridge = find('br0');
  const data = ifla.parseBridge(bridge.theirs.get(2) ?? Buffer.alloc(0));
  t.is(bridge.ours.kind, 'bridge');
  const read = bridge.ours.data as Values;
  t.is(read['forward_delay'], data.forwardDelay?.readUInt32LE());
  t.is(read['forward_delay'], 900);
  t.is(read['ageing_time'], data.ageingTime?.readUInt32LE());
  t.is(read['stp_state'], data.stpState?.readUInt32LE());
  t.is(read['mcast_snooping'], data.mcastSnooping?.readUInt8() === 1);

  const port = find('v0');
  const slave = ifla.parseBridgePort(port.theirs.get(5) ?? Buffer.alloc(0));
  t.is(port.ours.kind, 'veth');
  t.is(port.ours.slaveKind, 'bridge');
  t.is(port.ours.slaveData?.cost, 42);
  t.is(port.ours.slaveData?.cost, slave.cost);
  t.is(port.ours.slaveData?.state, slave.state);
  t.is(port.ours.slaveData?.hairpin, Number(slave.mode) === 1);
});
