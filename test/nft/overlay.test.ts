/** The nftables objects of overlays: the ruleset as text, and its life cycle. test/plugins/overlay tests packets. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import * as overlay from '../../src/nft/overlay.ts';
import { openNft } from '../../src/nft/socket.ts';
import { enterNewNetns, nft, ruleset } from './netns.ts';

enterNewNetns();

const open: overlay.OverlayGuard = { tunnel: 'nlx-1', comment: 'open' };
const kept: overlay.OverlayGuard = {
  tunnel: 'nlb-2',
  internal: { ifname: 'nlb-2', subnet: Cidr.parse('10.96.0.0/16') },
  comment: 'kept',
};
const six: overlay.OverlayGuard = { internal: { ifname: 'nlb-3', subnet: Cidr.parse('fd96::/48') }, comment: 'six' };

const RULESET = `table inet netloom {
	comment "made by netloom"
	set overlay-tunnels {
		type ifname
		comment "no marks"
		elements = { "nlb-2" comment "kept", "nlx-1" comment "open" }
	}

	set overlay-internal {
		type ifname
		comment "nothing in, nothing out"
		elements = { "nlb-2" comment "kept", "nlb-3" comment "six" }
	}

	set overlay-inside4 {
		type ifname . ipv4_addr
		flags interval
		comment "what an internal network is"
		elements = { "nlb-2" . 10.96.0.0/16 comment "kept" }
	}

	set overlay-inside6 {
		type ifname . ipv6_addr
		flags interval
		comment "what an internal network is"
		elements = { "nlb-3" . fd96::/48 comment "six" }
	}

	chain overlay-marks {
		comment "netloom overlay, layout 1"
		type filter hook postrouting priority srcnat + 10; policy accept;
		meta mark != 0x00000000 oifname @overlay-tunnels meta mark set 0x00000000
	}

	chain overlay-forward {
		comment "netloom overlay, layout 1"
		type filter hook forward priority filter - 10; policy accept;
		iifname @overlay-internal iifname . ip daddr != @overlay-inside4 drop
		oifname @overlay-internal oifname . ip saddr != @overlay-inside4 drop
		iifname @overlay-internal iifname . ip6 daddr != @overlay-inside6 drop
		oifname @overlay-internal oifname . ip6 saddr != @overlay-inside6 drop
	}
}
`;

test.afterEach.always(() => {
  nft('flush', 'ruleset');
});

test.serial('networks are elements, and nft reads all of it', (t) => {
  using socket = openNft();
  for (const guard of [open, kept, six]) overlay.add(socket, guard);
  const { text, json } = ruleset();
  t.is(inOrder(text.replaceAll(/,\n\t+ */g, ', ')), RULESET);
  nft('flush', 'ruleset');
  execFileSync('nft', ['-f', '-'], { input: text });
  t.deepEqual(ruleset().json, json);
});

test.serial('where no network is internal, no packet that is forwarded is looked at', (t) => {
  using socket = openNft();
  overlay.add(socket, open);
  t.notRegex(ruleset().text, /hook forward|overlay-in/);
  overlay.add(socket, kept);
  overlay.remove(socket, open);
  t.regex(ruleset().text, /hook forward/);
  overlay.remove(socket, kept);
  t.is(ruleset().text, '');
});

test.serial('one that is internal and has no tunnel needs nothing else', (t) => {
  using socket = openNft();
  overlay.add(socket, six);
  t.notRegex(ruleset().text, /overlay-marks/);
  t.deepEqual(overlay.differences(socket, six), []);
  overlay.add(socket, open);
  t.deepEqual(overlay.differences(socket, open), []);
  overlay.remove(socket, six);
  t.deepEqual(overlay.differences(socket, open), []);
  overlay.remove(socket, open);
  t.is(ruleset().text, '');
});

test.serial('what an earlier version made serves as it is', (t) => {
  using socket = openNft();
  const earlier = RULESET.replace('meta mark != 0x00000000 ', '').replaceAll(/^\t\telements = .*\n/gm, '');
  execFileSync('nft', ['-f', '-'], { input: earlier });
  for (const guard of [open, kept, six]) {
    overlay.add(socket, guard);
    t.deepEqual(overlay.differences(socket, guard), []);
  }
  t.regex(ruleset().text, /\n\t\toifname @overlay-tunnels meta mark set/);
  for (const guard of [open, kept, six]) overlay.remove(socket, guard);
  t.is(ruleset().text, '');
});

test.serial('again is nothing, the last takes the table along, and what is missing is said', (t) => {
  using socket = openNft();
  t.is(overlay.differences(socket, kept).length, 2);
  for (const guard of [open, kept, kept]) overlay.add(socket, guard);
  t.deepEqual(overlay.differences(socket, kept), []);
  overlay.remove(socket, kept);
  overlay.remove(socket, kept);
  t.is(overlay.differences(socket, kept).length, 2);
  t.deepEqual(overlay.differences(socket, open), []);
  overlay.remove(socket, open);
  t.is(ruleset().text, '');
});

/** Sorts elements: those of a hash have no order. */
function inOrder(text: string): string {
  return text.replaceAll(
    /elements = \{ (.*) \}/g,
    (_, list: string) => `elements = { ${list.split(', ').sort().join(', ')} }`,
  );
}
