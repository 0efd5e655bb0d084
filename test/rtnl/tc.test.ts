/** Traffic control: golden bytes, and the live kernel judged by `tc`, which also runs the equivalent commands. */
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import type { Request } from '../../src/netlink/message.ts';
import { openNetns } from '../../src/netns/namespace.ts';
import { withNetns } from '../../src/netns/within.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import * as tcClass from '../../src/rtnl/tc/class.ts';
import * as filter from '../../src/rtnl/tc/filter.ts';
import { handle, INGRESS_HANDLE, TC_H } from '../../src/rtnl/tc/message.ts';
import * as qdisc from '../../src/rtnl/tc/qdisc.ts';
import { bytes, hex } from '../netlink/bytes.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';
import { bodyHex } from './messages.ts';

becomeHost();
const root = makeRoot();
test.after.always(() => root.remove());

const ONE = handle(1);
const SETTING = `
  ip link add p0 index 2 type veth peer name p1 index 3; ip link set p0 up; ip link set p1 up
  ip link add i0 index 4 type ifb; ip link set i0 up`;

const bucket = qdisc.addTokenBucket(2, ONE, { rate: 2_500_000n, burst: 32_000, limit: 94_500 });
const redirect = filter.addU32({
  link: 2,
  parent: INGRESS_HANDLE,
  priority: 1,
  protocol: filter.ETH_P.ALL,
  keys: [{ mask: 0, value: 0, offset: 0 }],
  redirect: 4,
});
const wideClass = tcClass.add({ link: 4, parent: ONE, handle: handle(1, 1), rate: 125_000_000_000n, burst: 1 << 20 });

const GOLDEN: readonly {
  readonly title: string;
  readonly request: Request;
  readonly type: number;
  readonly bytes: string;
}[] = [
  {
    title: 'a token bucket',
    request: bucket,
    type: 36, // RTM_NEWQDISC
    bytes: `
      00  00  00 00                              # tcm_family, padding
      02 00 00 00                                # tcm_ifindex 2
      00 00 01 00                                # tcm_handle 1:
      ff ff ff ff                                # tcm_parent TC_H_ROOT
      00 00 00 00                                # tcm_info
      08 00  01 00  74 62 66 00                  # TCA_KIND "tbf"
      34 00  02 80                               # TCA_OPTIONS, nested
        28 00  01 00                             #   TCA_TBF_PARMS, tc_tbf_qopt
          00  01  00 00  00 00  00 00  a0 25 26 00  #  rate: cell_log, linklayer ethernet, overhead, cell_align, mpu, 2500000
          00  00  00 00  00 00  00 00  00 00 00 00  #  peakrate: none
          24 71 01 00                            #     limit 94500
          00 00 00 00                            #     buffer: see TCA_TBF_BURST
          00 00 00 00                            #     mtu, of the peak rate
        08 00  06 00  00 7d 00 00                #   TCA_TBF_BURST 32000
    `,
  },
  {
    title: 'a class of more than 32 bits a second',
    request: wideClass,
    type: 40, // RTM_NEWTCLASS
    bytes: `
      00  00  00 00  04 00 00 00                 # tcm_family, padding, tcm_ifindex 4
      01 00 01 00                                # tcm_handle 1:1
      00 00 01 00                                # tcm_parent 1:
      00 00 00 00                                # tcm_info
      08 00  01 00  68 74 62 00                  # TCA_KIND "htb"
      4c 00  02 80                               # TCA_OPTIONS, nested
        30 00  01 00                             #   TCA_HTB_PARMS, tc_htb_opt
          00  01  00 00  00 00  00 00  ff ff ff ff  #  rate: what 32 bits hold
          00  01  00 00  00 00  00 00  ff ff ff ff  #  ceil
          83 00 00 00                            #     buffer 131 ticks of 64 ns: 1048576 bytes
          83 00 00 00                            #     cbuffer
          60 ea 00 00                            #     quantum 60000
          00 00 00 00  00 00 00 00               #     level, prio
        0c 00  06 00  00 a2 94 1a 1d 00 00 00    #   TCA_HTB_RATE64
        0c 00  07 00  00 a2 94 1a 1d 00 00 00    #   TCA_HTB_CEIL64
    `,
  },
  {
    title: 'a redirection of whatever comes in',
    request: redirect,
    type: 44, // RTM_NEWTFILTER
    bytes: `
      00  00  00 00  02 00 00 00                 # tcm_family, padding, tcm_ifindex 2
      00 00 00 00                                # tcm_handle: a new one
      00 00 ff ff                                # tcm_parent ffff:
      00 03 01 00                                # tcm_info: priority 1, protocol ETH_P_ALL in network byte order
      08 00  01 00  75 33 32 00                  # TCA_KIND "u32"
      60 00  02 80                               # TCA_OPTIONS, nested
        24 00  05 00                             #   TCA_U32_SEL, tc_u32_sel
          01  00  01  00                         #     flags TC_U32_TERMINAL, offshift, nkeys 1, padding
          00 00  00 00  00 00  00 00  00 00 00 00  #   offmask, off, offoff, hoff, hmask
          00 00 00 00  00 00 00 00               #     mask, val
          00 00 00 00  00 00 00 00               #     off, offmask
        38 00  07 80                             #   TCA_U32_ACT, nested
          34 00  01 80                           #     the first action, nested
            0b 00  01 00  6d 69 72 72 65 64 00  00  #    TCA_ACT_KIND "mirred"
            24 00  02 00                         #       TCA_ACT_OPTIONS
              20 00  02 00                       #         TCA_MIRRED_PARMS, tc_mirred
                00 00 00 00  00 00 00 00         #           index, capab
                04 00 00 00                      #           action TC_ACT_STOLEN
                00 00 00 00  00 00 00 00         #           refcnt, bindcnt
                01 00 00 00                      #           eaction TCA_EGRESS_REDIR
                04 00 00 00                      #           ifindex 4
    `,
  },
];

for (const { title, request, type, bytes: golden } of GOLDEN) {
  test(`the bytes of ${title}`, (t) => {
    t.is(bodyHex(request), hex(bytes(golden)));
    t.is(request.type, type);
    t.regex(request.action, /^(limit|filter|make) .*[^.]$/);
  });
}

const prefixFilter = (side: 'src' | 'dst', text: string, priority: number) => {
  const prefix = Cidr.parse(text);
  return filter.addU32({
    link: 4,
    parent: ONE,
    priority,
    protocol: prefix.family === 4 ? filter.ETH_P.IP : filter.ETH_P.IPV6,
    keys: filter.addressKeys(side, prefix),
    class: handle(1, 0x30),
  });
};

const REQUESTS: Readonly<Record<string, readonly Request[]>> = {
  'a token bucket': [bucket],
  'a fast token bucket': [qdisc.addTokenBucket(2, ONE, { rate: 6_250_000_000n, burst: 1_000_000, limit: 2 ** 32 - 1 })],
  'a redirection': [qdisc.addIngress(2), redirect],
  'classes and filters': [
    qdisc.addHierarchy(4, ONE, 0x30),
    tcClass.add({ link: 4, parent: ONE, handle: handle(1, 1), rate: 125_000_000_000n, burst: 1_000_000 }),
    tcClass.add({ link: 4, parent: ONE, handle: handle(1, 0x30), rate: 2_500_000n, burst: 32_000 }),
    prefixFilter('src', '10.1.0.0/16', 1),
    prefixFilter('dst', '10.1.2.3/32', 1),
    prefixFilter('dst', '0.0.0.0/0', 1),
    prefixFilter('src', 'fd00:1:2::/47', 2),
    prefixFilter('dst', 'fd00::1/128', 2),
    prefixFilter('dst', '::/0', 2),
  ],
  'what is removed': [bucket, qdisc.addIngress(2), redirect, qdisc.remove(2, TC_H.ROOT), qdisc.remove(2, TC_H.INGRESS)],
};

/**
 * What `tc` shows, as text: not all versions print valid JSON for filters. The bytes of a burst are rounded from a
 * time, so they are left out.
 */
function shown(sandbox: Sandbox): string {
  const lists = ['p0', 'i0'].flatMap((link) =>
    [['qdisc'], ['class'], ['filter'], ['filter', 'parent', 'ffff:']].map(([what = '', ...more]) => {
      try {
        return sandbox.run('tc', '-d', what, 'show', 'dev', link, ...more);
      } catch {
        return ''; // nothing that could have filters
      }
    }),
  );
  return lists.join('\n').replace(/ fh \w+::\w+| order \d+|refcnt \d+ ?|burst \d+b/g, '');
}

let count = 0;
for (const [title, requests] of Object.entries(REQUESTS)) {
  test.serial(`${title}: the command does the same`, (t) => {
    count++;
    using ours = new Sandbox(root.path, `ours${count}`);
    using theirs = new Sandbox(root.path, `theirs${count}`);
    for (const each of [ours, theirs]) each.run('bash', '-ec', SETTING);
    using netns = openNetns(ours.path);
    using nl = withNetns(netns, () => openRoute());
    const before = shown(ours);
    for (const request of requests) {
      nl.execute(request);
      theirs.run('bash', '-ec', request.command.replace(/\bif2\b/g, 'p0').replace(/\bif4\b/g, 'i0'));
    }
    t.is(shown(ours), shown(theirs));
    if (!title.includes('removed')) t.not(shown(ours), before);
  });
}

test.serial('what was added is found as it was added', (t) => {
  using sandbox = new Sandbox(root.path, 'found');
  sandbox.run('bash', '-ec', SETTING);
  using netns = openNetns(sandbox.path);
  using nl = withNetns(netns, () => openRoute());
  t.is(qdisc.find(nl, 2, TC_H.ROOT)?.handle, 0);
  t.is(qdisc.find(nl, 2, TC_H.INGRESS), undefined);
  t.deepEqual(filter.list(nl, 4, ONE), []);
  nl.executeAll([bucket, qdisc.addIngress(2), redirect, ...(REQUESTS['classes and filters'] ?? [])]);
  t.deepEqual(qdisc.find(nl, 2, TC_H.ROOT), {
    link: 2,
    handle: ONE,
    parent: TC_H.ROOT,
    kind: 'tbf',
    tbf: { rate: 2_500_000n, burst: 32_000, limit: 94_500 },
  });
  t.like(qdisc.find(nl, 2, TC_H.INGRESS), { kind: 'ingress', handle: INGRESS_HANDLE });
  t.is(filter.list(nl, 2, INGRESS_HANDLE)[0]?.redirect, 4);
  t.is(qdisc.find(nl, 4, TC_H.ROOT)?.defaultClass, 0x30);
  t.deepEqual(
    tcClass.list(nl, 4).map((each) => [each.handle, each.rate, each.burst]),
    [
      [handle(1, 1), 125_000_000_000n, 1_000_000],
      [handle(1, 0x30), 2_500_000n, 32_000],
    ],
  );
  t.deepEqual(
    filter.list(nl, 4, ONE).map(({ keys }) => keys.map(({ value, mask, offset }) => [value, mask, offset])),
    [
      [[0x0a010000, 0xffff0000, 12]],
      [[0x0a010203, 0xffffffff, 16]],
      [[0, 0, 16]],
      [
        [0xfd000001, 0xffffffff, 8],
        [0x00020000, 0xfffe0000, 12],
      ],
      [
        [0xfd000000, 0xffffffff, 24],
        [0, 0xffffffff, 28],
        [0, 0xffffffff, 32],
        [1, 0xffffffff, 36],
      ],
      [[0, 0, 24]],
    ],
  );
  const again = t.throws(() => nl.execute(bucket), { code: 'EEXIST' });
  t.regex(again?.message ?? '', /^Cannot limit what leaves the link with index 2 to 2500000 bytes a second/);
  nl.executeAll([qdisc.remove(2, TC_H.ROOT), qdisc.remove(2, TC_H.INGRESS)]);
  t.throws(() => nl.execute(qdisc.remove(2, TC_H.ROOT)), { code: 'ENOENT' });
});
