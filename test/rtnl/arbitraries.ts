/** Attributes of every kind of rtnetlink message, for fast-check. */
import fc from 'fast-check';
import { Ip } from '../../src/net/ip.ts';
import type { MessageKind } from '../../src/netlink/message.ts';
import { addrKind } from '../../src/rtnl/addr.ts';
import { bridge, bridgePort } from '../../src/rtnl/kinds/bridge.ts';
import { IPVLAN_MODES, ipvlan } from '../../src/rtnl/kinds/ipvlan.ts';
import { MACVLAN_MODES, macvlan } from '../../src/rtnl/kinds/macvlan.ts';
import { TUN_TYPES, tun } from '../../src/rtnl/kinds/tun.ts';
import { vlan } from '../../src/rtnl/kinds/vlan.ts';
import { vrf } from '../../src/rtnl/kinds/vrf.ts';
import { VXLAN_DF, vxlan } from '../../src/rtnl/kinds/vxlan.ts';
import { linkKind } from '../../src/rtnl/link.ts';
import { baseAttrs } from '../../src/rtnl/link-attributes.ts';
import { neighKind } from '../../src/rtnl/neigh.ts';
import { routeKind } from '../../src/rtnl/route.ts';
import { ruleKind } from '../../src/rtnl/rule.ts';
import { classKind, filterKind, qdiscKind } from '../../src/rtnl/tc/message.ts';
import { attrsOf } from '../netlink/arbitraries.ts';

const u32 = fc.nat(0xffffffff);
const ip6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((data) => Ip.of(data));

const ifinfomsg = fc.record({
  family: fc.nat(255),
  pad: fc.nat(255),
  type: fc.nat(0xffff),
  index: fc.integer(),
  flags: u32,
  change: u32,
});

/** A mode that has a name, or the number of a later one. */
const wordOf = (modes: Readonly<Record<string, number>>) => fc.constantFrom(...Object.keys(modes), '77');

const slave = fc.record({ slaveKind: fc.constant('bridge'), slaveData: attrsOf(bridgePort) });
const plain = fc.constantFrom({});
const linkinfo = fc
  .tuple(
    fc.oneof(
      fc.record({ kind: fc.constant('bridge'), data: attrsOf(bridge) }),
      fc.record({ kind: fc.constant('vlan'), data: attrsOf(vlan) }),
      fc.record({ kind: fc.constant('vrf'), data: attrsOf(vrf) }),
      fc.record({ kind: fc.constant('macvlan'), data: attrsOf(macvlan, { mode: wordOf(MACVLAN_MODES) }) }),
      fc.record({ kind: fc.constant('tun'), data: attrsOf(tun, { mode: wordOf(TUN_TYPES) }) }),
      fc.record({ kind: fc.constant('vxlan'), data: attrsOf(vxlan, { df: wordOf(VXLAN_DF) }) }),
      fc.record({ kind: fc.constant('ipvlan'), data: attrsOf(ipvlan, { mode: wordOf(IPVLAN_MODES) }) }),
      fc.record({
        kind: fc.constant('veth'),
        data: fc.record({ peer: fc.record({ header: ifinfomsg, attrs: attrsOf(baseAttrs) }) }),
      }),
      fc.record({ kind: fc.constantFrom('dummy', 'ünï', 'constructor', '__proto__') }),
    ),
    fc.oneof(plain, slave),
  )
  .map(([kind, port]) => ({ ...kind, ...port }));

const multipath = fc.array(
  fc.record({
    header: fc.record({ flags: fc.nat(255), hops: fc.nat(255), index: fc.integer() }),
    attrs: fc.oneof(fc.constant({}), fc.record({ gateway: ip6 })),
  }),
);

const metrics = fc.record({ mtu: u32, advmss: u32 }, { requiredKeys: [] }).map((each) => ({ ...each }));

/** A kind, and arbitraries for its attributes. */
export const rtnetlink: readonly {
  readonly kind: MessageKind;
  readonly attrs: fc.Arbitrary<Record<string, unknown>>;
}[] = [
  { kind: linkKind, attrs: attrsOf(linkKind.attrs, { linkinfo, afSpec: fc.record({ bridgeFlags: fc.nat(0xffff) }) }) },
  { kind: addrKind, attrs: attrsOf(addrKind.attrs) },
  { kind: routeKind, attrs: attrsOf(routeKind.attrs, { metrics, multipath }) },
  { kind: neighKind, attrs: attrsOf(neighKind.attrs) },
  { kind: ruleKind, attrs: attrsOf(ruleKind.attrs) },
  ...[qdiscKind, classKind, filterKind].map((kind) => ({ kind, attrs: attrsOf(kind.attrs) })),
];
