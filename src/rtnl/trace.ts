/** Names of rtnetlink messages, for the tracer. RTM_* of linux/rtnetlink.h. */
import type { MessageKind } from '../netlink/message.ts';
import type { TraceNames } from '../netlink/trace.ts';
import { addrKind } from './addr.ts';
import { bridgeVlanKind } from './bridge-vlan.ts';
import { AF, RTM } from './constants.ts';
import { linkKind } from './link.ts';
import { neighKind } from './neigh.ts';
import { netconfKind } from './netconf.ts';
import { nsidKind } from './nsid.ts';
import { routeKind } from './route.ts';
import { ruleKind } from './rule.ts';
import { classKind, filterKind, qdiscKind } from './tc/message.ts';

/** By the noun that ends a message's name: RTM_NEWADDR is an address. */
const KINDS: Readonly<Record<string, MessageKind>> = {
  LINK: linkKind,
  ADDR: addrKind,
  ROUTE: routeKind,
  NEIGH: neighKind,
  RULE: ruleKind,
  NETCONF: netconfKind,
  NSID: nsidKind,
  QDISC: qdiscKind,
  TCLASS: classKind,
  TFILTER: filterKind,
};

export const routeNames: TraceNames = {
  protocol: 0, // NETLINK_ROUTE
  messageOf(type, payload) {
    const name = Object.entries(RTM).find(([, number]) => number === type)?.[0];
    const kind = name === undefined ? undefined : KINDS[name.slice('NEW'.length)];
    if (name === undefined || kind === undefined) return undefined;
    // Bridge VLANs come in link messages of the family AF_BRIDGE, with an IFLA_AF_SPEC of their own.
    const isBridge = kind === linkKind && payload.byteLength > 0 && payload.getUint8(0) === AF.BRIDGE;
    return { name: `RTM_${name}`, kind: isBridge ? bridgeVlanKind : kind };
  },
};
