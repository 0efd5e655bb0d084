/**
 * Rules of the routing policy: golden bytes, and the live kernel judged by `ip`, which also runs the equivalent
 * commands.
 */
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import type { Request } from '../../src/netlink/message.ts';
import { openNetns } from '../../src/netns/namespace.ts';
import { withNetns } from '../../src/netns/within.ts';
import * as rule from '../../src/rtnl/rule.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { bytes, hex } from '../netlink/bytes.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';
import { bodyHex } from './messages.ts';

becomeHost();
const root = makeRoot();
test.after.always(() => root.remove());

const host = rule.add({ src: Cidr.parse('10.1.0.2/32'), table: 100, protocol: 110 });
const wide = rule.add({ src: Cidr.parse('fd00::/64'), table: 1000, priority: 500 });

test('the bytes of rules', (t) => {
  t.is(
    bodyHex(host),
    hex(
      bytes(`
    02  00  20  00                # AF_INET, dst_len, src_len 32, tos
    64  00  00  01                # table 100, reserved, FR_ACT_TO_TBL
    00 00 00 00                   # flags
    08 00  02 00  0a 01 00 02     # FRA_SRC 10.1.0.2
    05 00  15 00  6e  00 00 00    # FRA_PROTOCOL 110
  `),
    ),
  );
  t.is(
    bodyHex(wide),
    hex(
      bytes(`
    0a  00  40  00  00  00  00  01  00 00 00 00     # AF_INET6, src_len 64, table: see FRA_TABLE, FR_ACT_TO_TBL
    14 00  02 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # FRA_SRC fd00::
    08 00  0f 00  e8 03 00 00     # FRA_TABLE 1000
    08 00  06 00  f4 01 00 00     # FRA_PRIORITY 500
  `),
    ),
  );
});

const REQUESTS: Readonly<Record<string, readonly Request[]>> = {
  'rules of both families': [host, wide, rule.add({ src: Cidr.parse('0.0.0.0/0'), table: 77, priority: 9 })],
  'rules that are removed': [
    host,
    wide,
    rule.remove({ src: Cidr.parse('10.1.0.2/32'), table: 100 }),
    rule.remove({ src: Cidr.parse('fd00::/64'), table: 1000 }),
  ],
};

const shown = (sandbox: Sandbox) => [sandbox.ip('-4', 'rule', 'show'), sandbox.ip('-6', 'rule', 'show')];

for (const [title, requests] of Object.entries(REQUESTS)) {
  test.serial(`${title}: the command does the same`, (t) => {
    using ours = new Sandbox(root.path, `ours-${title}`);
    using theirs = new Sandbox(root.path, `theirs-${title}`);
    using netns = openNetns(ours.path);
    using nl = withNetns(netns, () => openRoute());
    for (const request of requests) {
      nl.execute(request);
      theirs.run('bash', '-ec', request.command);
    }
    t.deepEqual(shown(ours), shown(theirs));
  });
}

test.serial('list tells of them, with what makes a rule narrower', (t) => {
  using sandbox = new Sandbox(root.path, 'listed');
  sandbox.run('ip', 'rule', 'add', 'from', '10.9.0.0/16', 'fwmark', '5', 'table', '300');
  using netns = openNetns(sandbox.path);
  using nl = withNetns(netns, () => openRoute());
  nl.executeAll([host, wide]);
  const ours = rule.list(nl).filter(({ table }) => table === 100 || table === 300 || table === 1000);
  t.deepEqual(
    ours.map(({ src, table, protocol, isPlain }) => [`${src}`, table, protocol, isPlain]),
    [
      ['10.1.0.2/32', 100, 110, true],
      ['10.9.0.0/16', 300, 0, false],
      ['fd00::/64', 1000, 0, true],
    ],
  );
  t.throws(() => nl.execute(wide), { code: 'EEXIST', message: /^Cannot add the rule from fd00::\/64 table 1000/ });
  nl.execute(rule.remove({ src: Cidr.parse('10.1.0.2/32'), table: 100 }));
  t.throws(() => nl.execute(rule.remove({ src: Cidr.parse('10.1.0.2/32'), table: 100 })), { code: 'ENOENT' });
});
