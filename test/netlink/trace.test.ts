import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { diagNames, listeners, openDiag } from '../../src/diag/listeners.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { NLMSG } from '../../src/netlink/message.ts';
import { isTraced, tracer } from '../../src/netlink/trace.ts';
import * as conntrack from '../../src/nft/ct/entry.ts';
import { openNft } from '../../src/nft/socket.ts';
import { nftNames } from '../../src/nft/trace.ts';
import * as addr from '../../src/rtnl/addr.ts';
import * as bridgeVlan from '../../src/rtnl/bridge-vlan.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { routeNames } from '../../src/rtnl/trace.ts';
import { isThere } from '../support/features.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';
import { ack, fakeKernel, message } from './fake-kernel.ts';

becomeHost();
const root = makeRoot();
test.after.always(() => root.remove());

/** A connection that does not exist. */
const ENTRY = { family: 4, attrs: { original: { transport: { number: 17, dstPort: 53 } } } } as conntrack.Entry;

function traced(run: (nl: ReturnType<typeof openRoute>) => void): string[] {
  const lines: string[] = [];
  using nl = openRoute({ tap: tracer([routeNames], (line) => lines.push(line)) });
  run(nl);
  return lines;
}

test('NETLOOM_TRACE is a list of words', (t) => {
  t.false(isTraced(undefined));
  t.false(isTraced(''));
  t.false(isTraced('netlinks'));
  t.true(isTraced('netlink'));
  t.true(isTraced('other,netlink'));
});

test('a request and its answer are a line each, with names in place of numbers', (t) => {
  const lines = traced((nl) => {
    nl.execute(
      link.add({ name: 'tr0', mtu: 1400, linkinfo: { kind: 'bridge', data: { stp_state: 0 } } }, { up: true }),
    );
  });
  t.is(
    lines[0],
    'netlink -> RTM_NEWLINK request ack echo excl create #1 link {flags: 1, change: 1} {name: "tr0", mtu: 1400, linkinfo: {kind: "bridge", data: {stp_state: 0}}}',
  );
  t.is(lines.at(-1), 'netlink <- NLMSG_ERROR #1 ok');
  if (!isThere('link echo')) return t.is(lines.length, 2);
  t.is(lines.length, 3);
  t.regex(lines[1] ?? '', /^netlink <- RTM_NEWLINK #1 link \{type: 1, index: \d+, .*name: "tr0", .*kind: "bridge"/);
});

test('a refusal has errno and sentence', (t) => {
  const lines = traced((nl) => {
    t.throws(() => nl.execute(addr.add(99999, Cidr.parse('10.1.0.2/24'))));
  });
  t.is(
    lines[0],
    'netlink -> RTM_NEWADDR request ack excl create #1 address {family: 2, prefix: 24, index: 99999} {local: 10.1.0.2, address: 10.1.0.2, broadcast: 10.1.0.255}',
  );
  t.regex(lines[1] ?? '', /^netlink <- NLMSG_ERROR #1 ENODEV, /);
});

test('a dump is told of part by part, to its end', (t) => {
  const lines = traced((nl) => addr.list(nl, { family: 4 }));
  t.is(lines[0], 'netlink -> RTM_GETADDR request dump #1 address {family: 2} {}');
  t.regex(lines[1] ?? '', /^netlink <- RTM_NEWADDR multi #1 address \{.*local: 127\.0\.0\.1/);
  t.is(lines.at(-1), 'netlink <- NLMSG_DONE #1 ok');
});

test("a bridge's VLANs are told of as such", (t) => {
  const lines = traced((nl) => {
    nl.attempt([bridgeVlan.add(99999, [{ first: 5, last: 9, untagged: true }])]);
  });
  t.is(
    lines[0],
    'netlink -> RTM_SETLINK request ack #1 bridge vlan {family: 7, index: 99999} {afSpec: {self: false, vlans: [{first: 5, last: 9, untagged: true}]}}',
  );
});

test('connection tracking and the sockets that listen have names, too', (t) => {
  const lines: string[] = [];
  const print = (line: string) => lines.push(line.replace(/cookie\d: \d+/g, 'cookie'));
  {
    using diag = openDiag({ tap: tracer([diagNames], print) });
    listeners(diag, 'tcp', 7);
    using nft = openNft({ tap: tracer([nftNames], print) });
    conntrack.list(nft, 4, { protocol: 17, port: 53 });
    nft.attempt([conntrack.remove(ENTRY)]);
  }
  const sent = lines.filter((line) => line.startsWith('netlink ->'));
  t.is(
    sent[0],
    'netlink -> SOCK_DIAG_BY_FAMILY request dump #1 listener {family: 2, protocol: 6, states: 1024, sport: 7} {}',
  );
  const to = '{original: {transport: {number: 17, dstPort: 53}}';
  t.deepEqual(sent.slice(2), [
    `netlink -> IPCTNL_MSG_CT_GET request dump #1 conntrack {family: 2} ${to}, filter: {original: 40, reply: 0}}`,
    `netlink -> IPCTNL_MSG_CT_DELETE request ack #2 conntrack {family: 2} ${to}}`,
  ]);
  const answer = new Uint8Array(72);
  answer[0] = 2;
  const tap = tracer([diagNames, nftNames], print);
  tap('in', message(20, 2, 1, answer), 4);
  tap('in', message(0x100, 2, 1, new Uint8Array([2, 0, 0, 0])), 12);
  t.deepEqual(lines.slice(-2), [
    'netlink <- SOCK_DIAG_BY_FAMILY multi #1 listener {family: 2} {}',
    'netlink <- IPCTNL_MSG_CT_NEW multi #1 conntrack {family: 2} {}',
  ]);
});

test('what has no name is told of by type and length, and what is damaged by its fault', (t) => {
  const lines: string[] = [];
  const tap = tracer([routeNames], (line) => lines.push(line));
  const { socket, arrive } = fakeKernel(() => [], { tap });
  socket.join(1);
  arrive(
    message(999, 2, 0, new Uint8Array(8)),
    message(16, 0, 0, new Uint8Array(3)),
    message(16, 0, 0).subarray(0, 10),
    ack(5, 17),
  );
  socket.next(0);
  socket.next(0);
  t.throws(() => socket.next(0), { code: 'malformed-message' });
  socket.next(0);
  t.deepEqual(lines, [
    'netlink <- message 999 multi #0 8 bytes',
    'netlink <- RTM_NEWLINK #0 3 bytes: Cannot read a netlink message: its header has 16 bytes, 3 are there',
    'netlink <- 10 bytes: Cannot read a netlink message: 10 bytes are left at offset 0, a header has 16',
    'netlink <- NLMSG_ERROR #5 EEXIST, it exists already',
  ]);
  t.is(NLMSG.ERROR, 2);
});

const bridge = fileURLToPath(new URL('../../dist/bin/bridge', import.meta.url));

function add(
  sandbox: Sandbox,
  environment: NodeJS.ProcessEnv,
): { status: number | null; stdout: string; stderr: string } {
  const conf = {
    cniVersion: '1.1.0',
    name: 'traced',
    type: 'bridge',
    bridge: 'tr-cni0',
    ipMasq: true,
    isGateway: true,
    ipam: { type: 'host-local', subnet: '10.77.0.0/24' },
  };
  return spawnSync(bridge, {
    input: JSON.stringify(conf),
    encoding: 'utf8',
    env: {
      ...process.env,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_IFNAME: 'eth0',
      CNI_NETNS: sandbox.path,
      CNI_PATH: dirname(bridge),
      NETLOOM_ROOT: root.path,
      ...environment,
    },
  });
}

test('the plugin prints its whole conversation on stderr with NETLOOM_TRACE=netlink, and its result alone on stdout', (t) => {
  using sandbox = new Sandbox(root.path, 'traced');
  const { status, stdout, stderr } = add(sandbox, { NETLOOM_TRACE: 'netlink' });
  t.is(status, 0, stdout);
  t.is(JSON.parse(stdout).cniVersion, '1.1.0');
  const lines = stderr.trim().split('\n');
  for (const line of lines) t.regex(line, /^netlink (->|<-) /);
  t.true(lines.some((line) => /^netlink -> RTM_NEWLINK .*"tr-cni0".*kind: "bridge"/.test(line)));
  t.true(lines.some((line) => /^netlink -> RTM_NEWADDR .*local: 10\.77\.0\.2/.test(line)));
  t.true(lines.some((line) => /^netlink -> NFNL_MSG_BATCH_BEGIN /.test(line)));
  t.true(lines.some((line) => /^netlink -> NFT_MSG_NEWSETELEM .*element/.test(line)));
  t.false(lines.some((line) => /malformed|\[object/.test(line)));
});

test('the plugin prints nothing without it', (t) => {
  using sandbox = new Sandbox(root.path, 'silent');
  const { status, stderr } = add(sandbox, { NETLOOM_TRACE: '', CNI_CONTAINERID: 'c2' });
  t.is(status, 0);
  t.is(stderr, '');
});
