/** Masquerading: its ruleset as text, its life cycle, and packets. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { commit } from '../../src/nft/batch.ts';
import * as chain from '../../src/nft/chain.ts';
import * as generation from '../../src/nft/generation.ts';
import * as masquerade from '../../src/nft/masquerade.ts';
import { netloomTable, removeIfUnused } from '../../src/nft/netloom-table.ts';
import { openNft } from '../../src/nft/socket.ts';
import * as table from '../../src/nft/table.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';
import { nft, ruleset, shell } from './netns.ts';

becomeHost();

const subnet = Cidr.parse('10.1.0.0/24');
const one = { ip: Ip.parse('10.1.0.2'), subnet, comment: 'net/one/eth0' };
const two = { ip: Ip.parse('10.1.0.3'), subnet, comment: 'net/two/eth0' };
const six = { ip: Ip.parse('fd00:1::2'), subnet: Cidr.parse('fd00:1::/64'), comment: 'net/one/eth0' };

const RULESET = `table inet netloom {
	comment "made by netloom"
	map masquerade4 {
		type ipv4_addr : verdict
		comment "endpoints by source"
		elements = { 10.1.0.2 comment "net/one/eth0" : jump masq-10.1.0.0/24, 10.1.0.3 comment "net/two/eth0" : jump masq-10.1.0.0/24 }
	}

	map masquerade6 {
		type ipv6_addr : verdict
		comment "endpoints by source"
		elements = { fd00:1::2 comment "net/one/eth0" : jump masq-fd00_1__/64 }
	}

	chain masq {
		comment "netloom masquerade, layout 1"
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr vmap @masquerade4
		ip6 saddr vmap @masquerade6
	}

	chain masq-10.1.0.0/24 {
		comment "what leaves 10.1.0.0/24"
		ip daddr 10.1.0.0/24 return
		ip daddr 224.0.0.0/4 return
		masquerade
	}

	chain masq-fd00_1__/64 {
		comment "what leaves fd00:1::/64"
		ip6 daddr fd00:1::/64 return
		ip6 daddr ff00::/8 return
		masquerade
	}
}
`;

test.afterEach.always(() => {
  nft('flush', 'ruleset');
});

test.serial('endpoints are elements, each subnet one chain, and nft reads all of it', (t) => {
  using socket = openNft();
  for (const entry of [one, two, six]) masquerade.add(socket, entry);
  const { text, json } = ruleset();
  t.is(text.replaceAll(/,\n\t+ */g, ', '), RULESET);
  nft('flush', 'ruleset');
  execFileSync('nft', ['-f', '-'], { input: text });
  t.deepEqual(ruleset().json, json);
});

test.serial('the equivalent commands make the same ruleset', (t) => {
  using socket = openNft();
  const commands: string[] = [];
  for (const entry of [one, two, six]) {
    commands.push(...masquerade.plan(socket, entry).map((request) => request.command));
    masquerade.add(socket, entry);
  }
  const ours = ruleset();
  nft('flush', 'ruleset');
  shell(commands);
  t.is(ours.text, ruleset().text);
  t.deepEqual(ours.json, ruleset().json);
});

test.serial('an ADD is one commit, a repeated one none', (t) => {
  using socket = openNft();
  const before = generation.get(socket);
  masquerade.add(socket, one);
  t.is(generation.get(socket), before + 1);
  masquerade.add(socket, one);
  t.is(generation.get(socket), before + 1);
  masquerade.add(socket, two);
  t.is(generation.get(socket), before + 2);
});

test.serial('an ADD to many endpoints sends as little as one to few', (t) => {
  let sent = 0;
  using socket = openNft({
    tap: (direction, datagram) => {
      sent += direction === 'out' ? datagram.length : 0;
    },
  });
  const add = (i: number) => {
    sent = 0;
    masquerade.add(socket, {
      ip: Ip.parse(`10.2.${i >> 8}.${i & 255}`),
      subnet: Cidr.parse('10.2.0.0/16'),
      comment: 'c',
    });
    return sent;
  };
  add(1);
  const few = add(2);
  for (let i = 3; i < 2000; i++) add(i);
  t.is(add(2000), few);
});

test.serial('an address that another subnet has is refused by the name of its holder', (t) => {
  using socket = openNft();
  masquerade.add(socket, one);
  const error = t.throws(() => masquerade.add(socket, { ...one, subnet: Cidr.parse('10.1.0.0/16'), comment: 'b/c/d' }));
  t.is(
    error.message,
    'Cannot masquerade 10.1.0.2 of "b/c/d" in 10.1.0.0/16: EEXIST, "net/one/eth0" has the address in 10.1.0.0/24',
  );
  t.true(masquerade.has(socket, one));
});

test.serial('an address of the same subnet is taken over, and its former holder no longer removes it', (t) => {
  using socket = openNft();
  masquerade.add(socket, one);
  const next = { ...one, comment: 'net/next/eth0' };
  masquerade.add(socket, next);
  t.deepEqual(masquerade.list(socket).map(String), [String(next)]);
  t.is(masquerade.list(socket)[0]?.comment, 'net/next/eth0');
  masquerade.remove(socket, one);
  t.true(masquerade.has(socket, next));
});

test.serial('removing is idempotent, and the last one leaves nothing', (t) => {
  using socket = openNft();
  masquerade.remove(socket, one);
  for (const entry of [one, two, six]) masquerade.add(socket, entry);
  masquerade.remove(socket, one);
  masquerade.remove(socket, one);
  t.false(masquerade.has(socket, one));
  t.true(masquerade.has(socket, two));
  masquerade.remove(socket, two);
  t.is(chain.list(socket, netloomTable).length, 2, 'the base chain and the chain of the IPv6 subnet');
  masquerade.remove(socket, six);
  t.is(nft('list', 'ruleset'), '');
  masquerade.remove(socket, six);
});

test.serial('what a killed process left of the removal goes with the next', (t) => {
  using socket = openNft();
  masquerade.add(socket, one);
  nft('delete', 'element', 'inet', 'netloom', 'masquerade4', '{ 10.1.0.2 }');
  masquerade.remove(socket, one);
  t.is(nft('list', 'ruleset'), '');
  masquerade.add(socket, one);
  nft('delete', 'element', 'inet', 'netloom', 'masquerade4', '{ 10.1.0.2 }');
  nft('flush', 'chain', 'inet', 'netloom', 'masq-10.1.0.0/24');
  nft('delete', 'chain', 'inet', 'netloom', 'masq-10.1.0.0/24');
  masquerade.remove(socket, one);
  t.is(nft('list', 'ruleset'), '');
});

test.serial('the table stays while another feature has an element in it', (t) => {
  using socket = openNft();
  masquerade.add(socket, one);
  nft('add set inet netloom more { type ipv4_addr ; elements = { 10.9.9.9 } ; }');
  masquerade.remove(socket, one);
  t.truthy(table.get(socket, netloomTable));
  nft('delete element inet netloom more { 10.9.9.9 }');
  t.true(removeIfUnused(socket));
  t.is(nft('list', 'ruleset'), '');
});

test.serial('the list is what was added', (t) => {
  using socket = openNft();
  t.deepEqual(masquerade.list(socket), []);
  for (const entry of [one, two, six]) masquerade.add(socket, entry);
  const text = (entry: masquerade.Masquerade) => `${entry.ip} ${entry.subnet} ${entry.comment}`;
  t.deepEqual(masquerade.list(socket).map(text).sort(), [one, two, six].map(text).sort());
});

test.serial('another layout is refused by name', (t) => {
  using socket = openNft();
  commit(socket, [table.add(netloomTable), chain.add({ table: netloomTable, name: 'masq', comment: 'layout 9' })]);
  t.throws(() => masquerade.add(socket, one), {
    message: /^Cannot use the chain "inet netloom masq": its layout is "layout 9", expected/,
  });
});

test.serial('packets that leave the subnet get another source, those within it keep theirs', (t) => {
  // This namespace is the host. `inside` has an endpoint; `outside` is the world, and has no route back to the subnet.
  const root = makeRoot();
  const [inside, outside] = [new Sandbox(root.path, 'inside'), new Sandbox(root.path, 'outside')];
  t.teardown(() => {
    for (const each of [inside, outside]) each[Symbol.dispose]();
    root.remove();
  });
  shell([
    `ip link add in0 type veth peer name eth0 netns ${inside.path}`,
    `ip link add out0 type veth peer name eth0 netns ${outside.path}`,
    'ip addr add 10.1.0.1/24 dev in0',
    'ip addr add 192.0.2.1/24 dev out0',
    'ip -6 addr add fd00:1::1/64 dev in0 nodad',
    'ip -6 addr add 2001:db8::1/64 dev out0 nodad',
    'ip link set in0 up',
    'ip link set out0 up',
    'echo 1 > /proc/sys/net/ipv4/ip_forward',
    'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
  ]);
  const script = [
    'ip addr add 10.1.0.2/24 dev eth0',
    'ip -6 addr add fd00:1::2/64 dev eth0 nodad',
    'ip link set eth0 up',
    'ip route add default via 10.1.0.1',
    'ip -6 route add default via fd00:1::1',
  ];
  inside.run('sh', '-ec', script.join('\n'));
  outside.run(
    'sh',
    '-ec',
    'ip addr add 192.0.2.2/24 dev eth0; ip -6 addr add 2001:db8::2/64 dev eth0 nodad; ip link set eth0 up',
  );
  t.false(inside.reaches('192.0.2.2', 2), 'without masquerading no answer finds back');
  using socket = openNft();
  masquerade.add(socket, one);
  masquerade.add(socket, six);
  t.true(inside.reaches('192.0.2.2'));
  t.true(inside.reaches('2001:db8::2'));
  t.true(inside.reaches('10.1.0.1'), 'within the subnet');
  t.true(inside.reaches('fd00:1::1'), 'within the subnet');
  const flows = execFileSync('conntrack', ['-L'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  t.regex(flows, /src=10\.1\.0\.2 dst=192\.0\.2\.2 .*src=192\.0\.2\.2 dst=192\.0\.2\.1 /);
  t.regex(flows, /src=10\.1\.0\.2 dst=10\.1\.0\.1 .*src=10\.1\.0\.1 dst=10\.1\.0\.2 /);
  masquerade.remove(socket, one);
  t.false(inside.reaches('192.0.2.2', 2));
});
