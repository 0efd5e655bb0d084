/** Refusals of the live kernel: code, the kernel's message, the equivalent command, and the attribute at fault. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import type { Request } from '../../src/netlink/message.ts';
import * as addr from '../../src/rtnl/addr.ts';
import * as link from '../../src/rtnl/link.ts';
import * as neigh from '../../src/rtnl/neigh.ts';
import * as route from '../../src/rtnl/route.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost } from '../support/host.ts';

becomeHost();
execFileSync('bash', ['-e'], {
  input: `ip link add p0 index 10 type veth peer name p1 index 11; ip link set p0 up; ip link set p1 up
    ip addr add 10.1.0.2/24 dev p0`,
});

const MAC = parseMac('02:42:0a:01:00:02');

interface Refusal {
  readonly title: string;
  readonly request: Request;
  readonly code: string;
  readonly message: RegExp;
  readonly details: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  {
    title: 'a name that is taken',
    request: link.add({ name: 'p0', linkinfo: { kind: 'bridge' } }),
    code: 'EEXIST',
    message: /^Cannot create the bridge link "p0": EEXIST, /,
    details: /^equivalent command: ip link add p0 type bridge/,
  },
  {
    title: 'a kind that this kernel lacks',
    request: link.add({ name: 'x0', linkinfo: { kind: 'nonsense' } }),
    code: 'EOPNOTSUPP',
    message: /^Cannot create the nonsense link "x0": EOPNOTSUPP, Unknown device type$/,
    details: /^equivalent command: ip link add x0 type nonsense/,
  },
  {
    title: 'a name that is too long',
    request: link.add({ name: 'a-name-of-17-char', linkinfo: { kind: 'bridge' } }),
    code: 'ERANGE',
    message: /^Cannot create the bridge link "a-name-of-17-char": ERANGE, Attribute failed policy validation$/,
    details: /; the kernel points at the attribute "name"$/,
  },
  {
    title: 'a link that is not there',
    request: link.set({ index: 99999 }, {}, { up: true }),
    code: 'ENODEV',
    message: /^Cannot change the link with index 99999: ENODEV, /,
    details: /^equivalent command: ip link set if99999 up/,
  },
  {
    title: 'an MTU that the device cannot have',
    request: link.set({ name: 'p0' }, { mtu: 3 }),
    code: 'EINVAL',
    message: /^Cannot change the link "p0": EINVAL, mtu less than device minimum$/,
    details: /^equivalent command: ip link set p0 mtu 3/,
  },
  {
    title: 'a MAC of a group',
    request: link.set({ name: 'p0' }, { address: parseMac('01:00:00:00:00:01') }),
    code: 'EADDRNOTAVAIL',
    message: /^Cannot change the link "p0": EADDRNOTAVAIL, /,
    details: /^equivalent command: ip link set p0 address 01:00:00:00:00:01/,
  },
  {
    title: 'a master that cannot have ports',
    request: link.set({ name: 'p1' }, { master: 10 }),
    code: 'EOPNOTSUPP',
    message: /^Cannot change the link "p1": EOPNOTSUPP, /,
    details: /^equivalent command: ip link set p1 master if10/,
  },
  {
    title: 'an address that is there already',
    request: addr.add(10, Cidr.parse('10.1.0.2/24')),
    code: 'EEXIST',
    message: /^Cannot add address 10\.1\.0\.2\/24 to link 10: EEXIST, /,
    details: /^equivalent command: ip addr add 10\.1\.0\.2\/24 brd \+ dev if10/,
  },
  {
    title: 'an address that is not there',
    request: addr.remove(10, Cidr.parse('10.1.0.3/24')),
    code: 'EADDRNOTAVAIL',
    message: /^Cannot remove address 10\.1\.0\.3\/24 from link 10: EADDRNOTAVAIL, /,
    details: /^equivalent command: ip addr del 10\.1\.0\.3\/24 dev if10/,
  },
  {
    title: 'a gateway that no address leads to',
    request: route.add({ dst: Cidr.parse('10.9.0.0/16'), gateway: Ip.parse('192.0.2.1') }),
    code: 'ENETUNREACH',
    message: /^Cannot add the route to 10\.9\.0\.0\/16 via 192\.0\.2\.1: ENETUNREACH, Nexthop has invalid gateway$/,
    details: /^equivalent command: ip route add 10\.9\.0\.0\/16 via 192\.0\.2\.1/,
  },
  {
    title: "a source address that is not this machine's",
    request: route.add({ dst: Cidr.parse('10.9.0.0/16'), oif: 10, src: Ip.parse('10.77.0.1') }),
    code: 'EINVAL',
    message: /^Cannot add the route to 10\.9\.0\.0\/16 dev if10 src 10\.77\.0\.1: EINVAL, Invalid prefsrc address$/,
    details: /^equivalent command: ip route add 10\.9\.0\.0\/16 dev if10 src 10\.77\.0\.1/,
  },
  {
    title: 'a route that is not there',
    request: route.remove({ dst: Cidr.parse('10.99.0.0/16') }),
    code: 'ESRCH',
    message: /^Cannot remove the route to 10\.99\.0\.0\/16: ESRCH, /,
    details: /^equivalent command: ip route del 10\.99\.0\.0\/16/,
  },
  {
    title: 'a neighbour of a link that is not there',
    request: neigh.replace(99999, Ip.parse('10.1.0.9'), MAC),
    code: 'ENODEV',
    message: /^Cannot set the neighbour 10\.1\.0\.9 of link 99999 to 02:42:0a:01:00:02: ENODEV, /,
    details: /^equivalent command: ip neigh replace 10\.1\.0\.9 lladdr 02:42:0a:01:00:02 dev if99999/,
  },
  {
    title: 'a bridge with an option that is out of range',
    request: link.add({
      name: 'x0',
      linkinfo: { kind: 'bridge', data: { group_address: parseMac('02:00:00:00:00:01') } },
    }),
    code: 'EINVAL',
    message: /^Cannot create the bridge link "x0": EINVAL, /,
    details: /^equivalent command: ip link add x0 type bridge group_address/,
  },
];

for (const { title, request, code, message, details } of REFUSALS) {
  test(`${title} is told of with errno, sentence and command`, (t) => {
    using nl = openRoute();
    const error = t.throws(() => nl.execute(request), { instanceOf: NetlinkError });
    t.is(error?.code, code);
    t.regex(error?.message ?? '', message);
    t.regex(error?.details ?? '', details);
  });
}

test('an attribute within an attribute is pointed at by its path', (t) => {
  using nl = openRoute();
  // A veth whose peer has a name that is too long.
  const peer = { attrs: { name: 'a-name-of-17-char' } };
  const error = t.throws(() => nl.execute(link.add({ name: 'x0', linkinfo: { kind: 'veth', data: { peer } } })), {
    instanceOf: NetlinkError,
  });
  t.is(error?.code, 'ERANGE');
  t.regex(error?.details ?? '', /the kernel points at the attribute "linkinfo\.data\.peer\.name"$/);
});

test('without privilege the kernel says EPERM', (t) => {
  const script = `
    import { openRoute } from '${new URL('../../src/rtnl/socket.ts', import.meta.url).pathname}';
    import * as link from '${new URL('../../src/rtnl/link.ts', import.meta.url).pathname}';
    try { openRoute().execute(link.remove({ name: 'p0' })); } catch (error) { console.log(error.code, error.message); }`;
  const args = ['--reuid=65534', '--clear-groups', process.execPath, '--input-type=module', '-e', script];
  const output = execFileSync('setpriv', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  t.is(output, 'EPERM Cannot remove the link "p0": EPERM, operation not permitted\n');
});
