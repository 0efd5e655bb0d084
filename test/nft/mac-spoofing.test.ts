/** The nftables objects of guarded ports: the ruleset as text, and its life cycle. test/plugins/bridge tests frames. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { parseMac } from '../../src/net/mac.ts';
import * as macSpoofing from '../../src/nft/mac-spoofing.ts';
import { openNft } from '../../src/nft/socket.ts';
import { enterNewNetns, nft, ruleset } from './netns.ts';

enterNewNetns();

const guard: macSpoofing.Guard = { port: 'veth1', mac: parseMac('02:42:0a:01:00:02'), comment: 'net/one/eth0' };
const other: macSpoofing.Guard = { port: 'veth2', mac: parseMac('02:42:0a:01:00:03'), comment: 'net/two/eth0' };

const RULESET = `table bridge netloom {
	comment "made by netloom"
	set guarded {
		type ifname
		comment "ports"
		elements = { "veth1" comment "net/one/eth0" }
	}

	set allowed {
		type ifname . ether_addr
		comment "the MAC of each guarded port"
		elements = { "veth1" . 02:42:0a:01:00:02 comment "net/one/eth0" }
	}

	chain spoof {
		comment "netloom mac spoofing, layout 1"
		type filter hook prerouting priority dstnat; policy accept;
		iifname @guarded iifname . ether saddr != @allowed drop
	}
}
`;

test.afterEach.always(() => {
  nft('flush', 'ruleset');
});

test.serial('a port is an element of two sets, and nft reads and writes all of it', (t) => {
  using socket = openNft();
  macSpoofing.add(socket, guard);
  const { text, json } = ruleset();
  t.is(text.replaceAll(/,\n\t+ */g, ', '), RULESET);
  nft('flush', 'ruleset');
  execFileSync('nft', ['-f', '-'], { input: text });
  t.deepEqual(ruleset().json, json);
  t.true(macSpoofing.has(socket, guard), 'what nft wrote is what we read');
});

test.serial('again is nothing, each owner takes its own away, and the last the table', (t) => {
  using socket = openNft();
  for (const each of [guard, guard, other]) macSpoofing.add(socket, each);
  macSpoofing.remove(socket, (comment) => comment === other.comment);
  t.is(ruleset().text.replaceAll(/,\n\t+ */g, ', '), RULESET);
  t.false(macSpoofing.has(socket, other));
  for (let i = 0; i < 2; i++) macSpoofing.remove(socket, (comment) => comment === guard.comment);
  t.is(ruleset().text, '');
});
