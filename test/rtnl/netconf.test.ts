/** Whether packets are forwarded, read by netlink and judged by /proc/sys. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { isForwarding } from '../../src/rtnl/netconf.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost } from '../support/host.ts';

becomeHost();

const SYSCTLS = { 4: 'net.ipv4.ip_forward', 6: 'net.ipv6.conf.all.forwarding' } as const;

for (const family of [4, 6] as const) {
  test(`forwarding of IPv${family} is what its sysctl says`, (t) => {
    using nl = openRoute();
    for (const value of ['1', '0', '1']) {
      execFileSync('sysctl', ['-qw', `${SYSCTLS[family]}=${value}`]);
      t.is(isForwarding(nl, family), value === '1');
    }
  });
}
