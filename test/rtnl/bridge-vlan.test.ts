/**
 * VLANs on the ports of a bridge, judged by `bridge`. Needs a kernel with VLAN filtering; golden.test.ts tests the
 * bytes.
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import type { NetlinkSocket } from '../../src/netlink/socket.ts';
import * as bridgeVlan from '../../src/rtnl/bridge-vlan.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { isThere, needs } from '../support/features.ts';
import { becomeHost } from '../support/host.ts';

becomeHost();

const filtering = needs('bridge vlan_filtering');

interface Vlan {
  readonly vlan: number;
  readonly flags?: readonly string[];
}

function shown(name: string): readonly Vlan[] {
  const all = JSON.parse(execFileSync('bridge', ['-j', 'vlan', 'show', 'dev', name], { encoding: 'utf8' }));
  return all[0]?.vlans ?? [];
}

/** A filtering bridge with a port. @returns the index of each */
function setting(nl: NetlinkSocket, name: string): { readonly bridge: number; readonly port: number } {
  const data = { vlan_filtering: true };
  nl.execute(link.add({ name: `br-${name}`, linkinfo: { kind: 'bridge', data } }, { up: true }));
  const bridge = link.get(nl, { name: `br-${name}` }).index;
  nl.execute(link.add({ name, master: bridge, linkinfo: { kind: 'veth' } }));
  return { bridge, port: link.get(nl, { name }).index };
}

filtering('add gives a port its untagged VLAN and a trunk of others', (t) => {
  using nl = openRoute();
  const { port } = setting(nl, 'one');
  nl.executeAll([
    bridgeVlan.remove(port, [{ first: 1, last: 1 }]),
    bridgeVlan.add(port, [
      { first: 100, last: 100, pvid: true, untagged: true },
      { first: 200, last: 203 },
    ]),
  ]);
  t.deepEqual(shown('one'), [
    { vlan: 100, flags: ['PVID', 'Egress Untagged'] },
    ...[200, 201, 202, 203].map((vlan) => ({ vlan })),
  ]);
});

filtering('add with self gives the bridge itself a VLAN, and remove takes it away', (t) => {
  using nl = openRoute();
  const { bridge } = setting(nl, 'two');
  nl.execute(bridgeVlan.add(bridge, [{ first: 5, last: 5 }], { self: true }));
  t.true(shown('br-two').some(({ vlan }) => vlan === 5));
  nl.execute(bridgeVlan.remove(bridge, [{ first: 5, last: 5 }], { self: true }));
  t.false(shown('br-two').some(({ vlan }) => vlan === 5));
});

test('a kernel without VLAN filtering says so by errno', (t) => {
  using nl = openRoute();
  const data = { vlan_filtering: true };
  const [error] = nl.attempt([link.add({ name: 'br-none', linkinfo: { kind: 'bridge', data } })]).values();
  // Without CONFIG_BRIDGE_VLAN_FILTERING, kernels that know the attribute refuse it, and others ignore it.
  if (isThere('bridge vlan_filtering')) t.is(error, undefined);
  else t.true(error === undefined || error.code === 'EOPNOTSUPP' || error.code === 'EINVAL', error?.message);
});
