/** Published ports in nf_tables: the ruleset as text, its life cycle, its cost, and many processes at once. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { ip, ip6 } from '../../src/nft/fields/ip.ts';
import { meta } from '../../src/nft/fields/meta.ts';
import * as generation from '../../src/nft/generation.ts';
import { eq, notWithin, within } from '../../src/nft/match.ts';
import * as portmap from '../../src/nft/portmap/portmap.ts';
import { openNft } from '../../src/nft/socket.ts';
import { inOrder } from '../support/in-order.ts';
import { enterNewNetns, nft, ruleset, shell } from './netns.ts';

enterNewNetns();

const subnet = Cidr.parse('10.1.0.0/24');
const port = (hostPort: number, containerPort: number, protocol: 'tcp' | 'udp' | 'sctp' = 'tcp', host?: string) => ({
  protocol,
  host: host === undefined ? undefined : Ip.parse(host),
  hostPort,
  containerPort,
});

const one: portmap.Publication = {
  container: Ip.parse('10.1.0.2'),
  ports: [port(8080, 80), port(53, 5300, 'udp'), port(443, 443, 'tcp', '192.0.2.1')],
  masquerading: { subnet, sources: 'subnet', localhost: 'route_localnet was 0 on cni0' },
  comment: 'net/one/eth0',
};
const six: portmap.Publication = {
  container: Ip.parse('fd00:1::2'),
  ports: [port(8080, 80), port(9, 9, 'sctp', '2001:db8::1')],
  masquerading: { subnet: Cidr.parse('fd00:1::/64'), sources: 'subnet' },
  comment: 'net/one/eth0',
};
const two: portmap.Publication = {
  container: Ip.parse('10.1.0.3'),
  ports: [port(443, 443, 'tcp', '192.0.2.2')],
  masquerading: { subnet, sources: 'all' },
  comment: 'net/two/eth0',
};
const three: portmap.Publication = {
  container: Ip.parse('10.1.0.4'),
  ports: [port(9090, 90)],
  masquerading: { subnet, sources: 'none' },
  comment: 'net/three/eth0',
};
const all = [[one, six], [two], [three]];

const RULESET = `table inet netloom {
	comment "made by netloom"
	set published4 {
		type inet_proto . inet_service
		comment "ports of the host"
		elements = { tcp . 443, tcp . 8080, tcp . 9090, udp . 53 }
	}

	map portmap4 {
		type inet_proto . inet_service : ipv4_addr . inet_service
		comment "on any address of the host"
		elements = { tcp . 8080 comment "net/one/eth0" : 10.1.0.2 . 80, tcp . 9090 comment "net/three/eth0" : 10.1.0.4 . 90, udp . 53 comment "net/one/eth0" : 10.1.0.2 . 5300 }
	}

	map portmap4-at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		comment "on one address of the host"
		elements = { 192.0.2.1 . tcp . 443 comment "net/one/eth0" : 10.1.0.2 . 443, 192.0.2.2 . tcp . 443 comment "net/two/eth0" : 10.1.0.3 . 443 }
	}

	map portmap4-masq {
		type ipv4_addr : verdict
		comment "who is masqueraded to them"
		elements = { 10.1.0.2 comment "net/one/eth0" : jump portmap-10.1.0.0/24-local, 10.1.0.3 comment "net/two/eth0" : jump portmap-10.1.0.0/24-all, 10.1.0.4 comment "net/three/eth0" : jump portmap-10.1.0.0/24-none }
	}

	map portmap4-owner {
		type mark . mark . mark : ipv4_addr . inet_proto . inet_service
		comment "what each has published"
		elements = { 0x4d4a43de . 0xfd815033 . 0x00000000 : 10.1.0.3 . ip . 0, 0x4d4a43de . 0xfd815033 . 0x00000001 : 192.0.2.2 . tcp . 443, 0x83ca742f . 0x04e68215 . 0x00000000 : 10.1.0.4 . ip . 0, 0x83ca742f . 0x04e68215 . 0x00000001 : 0.0.0.0 . tcp . 9090, 0xf1fb9758 . 0x1cc370a1 . 0x00000000 : 10.1.0.2 . ip . 0, 0xf1fb9758 . 0x1cc370a1 . 0x00000001 : 0.0.0.0 . tcp . 8080, 0xf1fb9758 . 0x1cc370a1 . 0x00000002 : 0.0.0.0 . udp . 53, 0xf1fb9758 . 0x1cc370a1 . 0x00000003 : 192.0.2.1 . tcp . 443 }
	}

	set published6 {
		type inet_proto . inet_service
		comment "ports of the host"
		elements = { sctp . 9, tcp . 8080 }
	}

	map portmap6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
		comment "on any address of the host"
		elements = { tcp . 8080 comment "net/one/eth0" : fd00:1::2 . 80 }
	}

	map portmap6-at {
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
		comment "on one address of the host"
		elements = { 2001:db8::1 . sctp . 9 comment "net/one/eth0" : fd00:1::2 . 9 }
	}

	map portmap6-masq {
		type ipv6_addr : verdict
		comment "who is masqueraded to them"
		elements = { fd00:1::2 comment "net/one/eth0" : jump portmap-fd00_1__/64 }
	}

	map portmap6-owner {
		type mark . mark . mark : ipv6_addr . inet_proto . inet_service
		comment "what each has published"
		elements = { 0xf1fb9758 . 0x1cc370a1 . 0x00000000 : fd00:1::2 . ip . 0, 0xf1fb9758 . 0x1cc370a1 . 0x00000001 : :: . tcp . 8080, 0xf1fb9758 . 0x1cc370a1 . 0x00000002 : 2001:db8::1 . sctp . 9 }
	}

	chain portmap4-dnat {
		comment "netloom portmap, layout 1"
		fib daddr type != local return
		dnat ip to ip daddr . meta l4proto . th dport map @portmap4-at
		dnat ip to meta l4proto . th dport map @portmap4
	}

	chain portmap4-in {
		comment "netloom portmap, layout 1"
		type nat hook prerouting priority dstnat; policy accept;
		meta nfproto ipv4 meta l4proto . th dport @published4 jump portmap4-dnat
	}

	chain portmap4-out {
		comment "netloom portmap, layout 1"
		type nat hook output priority -100; policy accept;
		meta nfproto ipv4 meta l4proto . th dport @published4 jump portmap4-dnat
	}

	chain portmap4-snat {
		comment "netloom portmap, layout 1"
		type nat hook postrouting priority srcnat; policy accept;
		ct status dnat ip daddr vmap @portmap4-masq
	}

	chain portmap4-lo {
		comment "netloom portmap, layout 1"
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
	}

	chain portmap-10.1.0.0/24-local {
		comment "who is masqueraded to 10.1.0.0/24; route_localnet was 0 on cni0"
		ip saddr 10.1.0.0/24 masquerade
		ip saddr 127.0.0.0/8 masquerade
	}

	chain portmap6-dnat {
		comment "netloom portmap, layout 1"
		fib daddr type != local return
		ip6 daddr ::1 return
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @portmap6-at
		dnat ip6 to meta l4proto . th dport map @portmap6
	}

	chain portmap6-in {
		comment "netloom portmap, layout 1"
		type nat hook prerouting priority dstnat; policy accept;
		meta nfproto ipv6 meta l4proto . th dport @published6 jump portmap6-dnat
	}

	chain portmap6-out {
		comment "netloom portmap, layout 1"
		type nat hook output priority -100; policy accept;
		meta nfproto ipv6 meta l4proto . th dport @published6 jump portmap6-dnat
	}

	chain portmap6-snat {
		comment "netloom portmap, layout 1"
		type nat hook postrouting priority srcnat; policy accept;
		ct status dnat ip6 daddr vmap @portmap6-masq
	}

	chain portmap-fd00_1__/64 {
		comment "who is masqueraded to fd00:1::/64"
		ip6 saddr fd00:1::/64 masquerade
	}

	chain portmap-10.1.0.0/24-all {
		comment "who is masqueraded to 10.1.0.0/24"
		masquerade
	}

	chain portmap-10.1.0.0/24-none {
		comment "who is masqueraded to 10.1.0.0/24"
	}
}
`;

test.afterEach.always(() => {
  nft('flush', 'ruleset');
});

test.serial('endpoints are elements, and nft reads all of it', (t) => {
  using socket = openNft();
  for (const publications of all) portmap.publish(socket, publications);
  const { text } = ruleset();
  t.is(inOrder(text), RULESET);
  nft('flush', 'ruleset');
  execFileSync('nft', ['-f', '-'], { input: text });
  t.is(inOrder(ruleset().text), RULESET);
});

test.serial('the equivalent commands make the same ruleset', (t) => {
  using socket = openNft();
  const commands: string[] = [];
  for (const publications of all) {
    // nft refuses to add and delete an element in one batch, which the kernel accepts. So each command is a batch here.
    commands.push(...portmap.plan(socket, publications).map((request) => request.command));
    portmap.publish(socket, publications);
  }
  const ours = ruleset();
  nft('flush', 'ruleset');
  shell(commands);
  t.is(inOrder(ours.text), inOrder(ruleset().text));
});

const someFour: portmap.Publication = {
  ...one,
  ports: [port(8080, 80), port(443, 443, 'tcp', '192.0.2.1')],
  masquerading: { subnet, sources: 'subnet' },
  conditions: [notWithin(ip.saddr, Cidr.parse('192.0.2.0/24')), eq(meta.iifname, 'cni0')],
};
const someSix: portmap.Publication = {
  ...six,
  ports: [port(8080, 80)],
  conditions: [within(ip6.saddr, Cidr.parse('2001:db8::9/128'))],
};

const CONDITIONAL = `	map portmap4-if {
		type inet_proto . inet_service : verdict
		comment "not for every connection"
		elements = { tcp . 8080 comment "net/one/eth0" : jump portmap-if-418bb87f4e2b7198 }
	}

	map portmap4-at-if {
		type ipv4_addr . inet_proto . inet_service : verdict
		comment "not for every connection"
		elements = { 192.0.2.1 . tcp . 443 comment "net/one/eth0" : jump portmap-if-418bb87f4e2b7198 }
	}

	map portmap6-if {
		type inet_proto . inet_service : verdict
		comment "not for every connection"
		elements = { tcp . 8080 comment "net/one/eth0" : jump portmap-if-7c4b54388bbfe6b2 }
	}

	map portmap6-at-if {
		type ipv6_addr . inet_proto . inet_service : verdict
		comment "not for every connection"
	}

	chain portmap4-dnat {
		comment "netloom portmap, layout 1"
		jump portmap4-if
		fib daddr type != local return
		dnat ip to ip daddr . meta l4proto . th dport map @portmap4-at
		dnat ip to meta l4proto . th dport map @portmap4
	}

	chain portmap4-if {
		comment "netloom portmap, layout 1"
		ip daddr . meta l4proto . th dport vmap @portmap4-at-if
		meta l4proto . th dport vmap @portmap4-if
	}

	chain portmap-if-418bb87f4e2b7198 {
		comment "which connections a port is for"
		ip saddr != 192.0.2.0/24 iifname "cni0" return
		accept
	}

	chain portmap6-dnat {
		comment "netloom portmap, layout 1"
		jump portmap6-if
		fib daddr type != local return
		ip6 daddr ::1 return
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @portmap6-at
		dnat ip6 to meta l4proto . th dport map @portmap6
	}

	chain portmap6-if {
		comment "netloom portmap, layout 1"
		ip6 daddr . meta l4proto . th dport vmap @portmap6-at-if
		meta l4proto . th dport vmap @portmap6-if
	}

	chain portmap-if-7c4b54388bbfe6b2 {
		comment "which connections a port is for"
		ip6 saddr 2001:db8::9 return
		accept
	}`;

/** The sets and chains that exist only for conditions, or have a rule for them. The rest is as in RULESET. */
function conditionalPart(text: string): string {
  return inOrder(text)
    .replace(/\n\}\n$/, '')
    .split('\n\n')
    .filter((block) => /portmap\d?(-at)?-if/.test(block))
    .join('\n\n');
}

test.serial('ports for some connections only: nft reads all of it, and the equivalent commands make the same', (t) => {
  using socket = openNft();
  const commands: string[] = [];
  for (const publications of [[someFour, someSix], [three]]) {
    commands.push(...portmap.plan(socket, publications).map((request) => request.command));
    portmap.publish(socket, publications);
  }
  const { text } = ruleset();
  t.is(conditionalPart(text), CONDITIONAL);
  nft('flush', 'ruleset');
  execFileSync('nft', ['-f', '-'], { input: text });
  t.is(conditionalPart(ruleset().text), CONDITIONAL);
  nft('flush', 'ruleset');
  shell(commands);
  t.is(conditionalPart(ruleset().text), CONDITIONAL);
  // The last one removes all of them.
  for (const { comment } of [someFour, three]) portmap.withdraw(socket, comment);
  portmap.sweep(socket);
  t.is(ruleset().text, '');
});

test.serial('an ADD is one commit, a DEL one, and the last one takes chain and table along', (t) => {
  using socket = openNft();
  const begin = generation.get(socket);
  portmap.publish(socket, [one, six]);
  t.is(generation.get(socket), begin + 1);
  portmap.publish(socket, [two]);
  t.is(generation.get(socket), begin + 2);
  const withdrawn = portmap.withdraw(socket, 'net/one/eth0');
  t.is(generation.get(socket), begin + 3);
  t.deepEqual(
    withdrawn.map(({ container, ports }) => [String(container), ports.map(String)]),
    [
      ['10.1.0.2', ['0.0.0.0,tcp,8080', '0.0.0.0,udp,53', '192.0.2.1,tcp,443']],
      ['fd00:1::2', ['::,tcp,8080', '2001:db8::1,sctp,9']],
    ],
  );
  const told: string[] = [];
  portmap.sweep(socket, (comment) => told.push(comment));
  t.deepEqual(told, [
    'who is masqueraded to 10.1.0.0/24; route_localnet was 0 on cni0',
    'who is masqueraded to fd00:1::/64',
  ]);
  t.regex(ruleset().text, /192\.0\.2\.2 \. tcp \. 443 comment "net\/two\/eth0" : 10\.1\.0\.3 \. 443/);
  t.deepEqual(portmap.missing(socket, two), []);
  portmap.withdraw(socket, 'net/two/eth0');
  portmap.sweep(socket);
  t.is(ruleset().text, '');
  t.deepEqual(portmap.withdraw(socket, 'net/two/eth0'), []);
  portmap.sweep(socket);
});

test.serial('what an owner has from before is replaced, in the same commit', (t) => {
  using socket = openNft();
  portmap.publish(socket, [one]);
  const before = generation.get(socket);
  portmap.publish(socket, [{ ...one, ports: [port(8080, 81), port(8081, 80)] }]);
  t.is(generation.get(socket), before + 1);
  const { text } = ruleset();
  t.regex(text, /tcp \. 8080 comment "net\/one\/eth0" : 10\.1\.0\.2 \. 81/);
  t.notRegex(text, /udp|443/);
});

const clashes: readonly (readonly [string, portmap.PublishedPort, portmap.PublishedPort, string])[] = [
  [
    'the same port',
    port(80, 80),
    port(80, 81),
    'Cannot publish the port tcp 0.0.0.0:80: "net/one/eth0" has it (network/container/interface)',
  ],
  [
    'the same port of one address',
    port(80, 80, 'tcp', '192.0.2.1'),
    port(80, 81, 'tcp', '192.0.2.1'),
    'Cannot publish the port tcp 192.0.2.1:80: "net/one/eth0" has it (network/container/interface)',
  ],
  [
    'a port of one address that somebody has on all',
    port(80, 80),
    port(80, 81, 'tcp', '192.0.2.1'),
    'Cannot publish the port tcp 192.0.2.1:80: "net/one/eth0" has it on every address (network/container/interface)',
  ],
  [
    'a port of all addresses that somebody has on one',
    port(80, 80, 'tcp', '192.0.2.1'),
    port(80, 81),
    'Cannot publish the port tcp 0.0.0.0:80: "net/one/eth0" has it on 192.0.2.1 (network/container/interface)',
  ],
];
for (const [title, first, second, message] of clashes) {
  test.serial(`${title} is refused by the name of its holder, and nothing changes`, (t) => {
    using socket = openNft();
    portmap.publish(socket, [{ ...one, ports: [first] }]);
    const before = ruleset().text;
    const error = t.throws(() => portmap.publish(socket, [{ ...two, ports: [port(7, 7), second] }]));
    t.is(error.message, message);
    t.is(ruleset().text, before);
  });
}

test.serial('the same port number of another protocol, family or address is another port', (t) => {
  using socket = openNft();
  portmap.publish(socket, [{ ...one, ports: [port(80, 80), port(81, 80, 'tcp', '192.0.2.1')] }]);
  portmap.publish(socket, [{ ...two, ports: [port(80, 80, 'udp'), port(81, 80, 'tcp', '192.0.2.2')] }]);
  portmap.publish(socket, [{ ...six, comment: 'net/three/eth0', ports: [port(80, 80), port(81, 80)] }]);
  t.pass();
});

test.serial('ADD and DEL send and read as little beside many as beside few', (t) => {
  let moved = 0;
  using socket = openNft({
    tap: (_direction, datagram) => {
      moved += datagram.length;
    },
  });
  const of = (i: number): portmap.Publication => ({
    container: Ip.parse(`10.1.${i >> 8}.${i & 255}`),
    ports: [port(1000 + i, 80), port(1000 + i, 80, 'udp')],
    masquerading: { subnet: Cidr.parse('10.1.0.0/16'), sources: 'subnet', localhost: '' },
    comment: `net/c${String(i).padStart(5, '0')}/eth0`,
  });
  const cost = (action: () => void) => {
    moved = 0;
    action();
    return moved;
  };
  const both = (i: number) => [
    cost(() => portmap.publish(socket, [of(i)])),
    cost(() => {
      portmap.withdraw(socket, of(i).comment);
      portmap.sweep(socket);
    }),
  ];
  portmap.publish(socket, [of(1)]);
  both(2);
  const few = both(3);
  for (let i = 10; i < 2000; i++) portmap.publish(socket, [of(i)]);
  t.deepEqual(both(3), few);
});

test.serial('an address of a container that is gone is taken over, and what led to it by then leads nowhere', (t) => {
  using socket = openNft();
  portmap.publish(socket, [one, six]);
  portmap.publish(socket, [{ ...two, container: one.container }]);
  const { text } = ruleset();
  t.regex(text, /10\.1\.0\.2 comment "net\/two\/eth0" : jump/);
  t.notRegex(text, /net\/one\/eth0" : 10/);
  t.regex(text, /net\/one\/eth0" : fd00/);
});

test.serial('an address of another network is refused by the name of its holder, and the ports of that stay', (t) => {
  using socket = openNft();
  portmap.publish(socket, [one, six]);
  const before = ruleset().text;
  for (const [publication, holder] of [
    [{ ...two, container: one.container, comment: 'other/two/eth0' }, one],
    [{ ...six, ports: [port(7, 7)], comment: 'net2/one/eth0' }, six],
    [{ ...six, ports: [port(7, 7)], comment: '#0123456789abcdef#0123456789abcdef' }, six],
  ] as const) {
    const error = t.throws(() => portmap.publish(socket, [publication]));
    const { container, comment } = publication;
    t.is(
      error.message,
      `Cannot publish ports of ${container} for "${comment}": EEXIST, "${holder.comment}" has the address`,
    );
    t.is(ruleset().text, before);
  }
});

test.serial('a range of a thousand ports is one commit', (t) => {
  using socket = openNft();
  const ports = Array.from({ length: 1000 }, (_, i) => port(10000 + i, 20000 + i));
  const before = generation.get(socket);
  const begin = performance.now();
  portmap.publish(socket, [{ ...one, ports }]);
  const added = performance.now();
  t.is(generation.get(socket), before + 1);
  t.is(portmap.withdraw(socket, one.comment)[0]?.ports.length, 1000);
  t.log(`${(added - begin).toFixed(1)} ms, and ${(performance.now() - added).toFixed(1)} ms to withdraw`);
  portmap.sweep(socket);
  t.is(ruleset().text, '');
});
