/** Routes. man 8 ip-route; rtmsg and RTA_* of linux/rtnetlink.h. */

import { ERRNO } from '../ffi/errno.ts';
import { Cidr } from '../net/cidr.ts';
import { bitsOf, type Family, Ip } from '../net/ip.ts';
import { type Attrs, type AttrTable, malformed, nest, readAttrs, writeAttrs } from '../netlink/attribute.ts';
import { type Codec, ip, s32, u8, u16, u32 } from '../netlink/codec.ts';
import { type Message, type MessageKind, NLM_F, type Request, request, viewFrom } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { struct } from '../netlink/struct.ts';
import { AF, RTM } from './constants.ts';
import { familyNumber, familyOf, ipCommand } from './family.ts';
import { word } from './words.ts';

/** RTAX_*. */
const metrics = {
  mtu: [2, u32],
  advmss: [8, u32],
} as const satisfies AttrTable;

/**
 * One of several next hops. struct rtnexthop: u16 length with attributes, u8 flags, u8 weight minus one, s32 link; then
 * RTA_*.
 */
const rtnexthop = struct({ length: u16, flags: u8, hops: u8, index: s32 });
const nextHopAttrs = { gateway: [5, ip] } as const satisfies AttrTable;

export interface NextHop {
  readonly header: { readonly flags?: number; readonly hops?: number; readonly index?: number };
  readonly attrs: Attrs<typeof nextHopAttrs>;
}

/** RTA_MULTIPATH. */
const nextHops: Codec<readonly NextHop[]> = {
  name: 'nexthops',
  write(out, hops) {
    for (const { header, attrs } of hops) {
      const start = out.length;
      rtnexthop.write(out, header);
      writeAttrs(out, nextHopAttrs, attrs);
      out.patch16(start, out.length - start);
    }
  },
  read(view) {
    const hops: NextHop[] = [];
    for (let at = 0; at < view.byteLength; ) {
      const { length, ...header } = rtnexthop.read(viewFrom(view, at));
      if (length < rtnexthop.size || at + length > view.byteLength) {
        throw malformed(
          `the next hop at offset ${at} says that it has ${length} bytes, ${view.byteLength - at} are left`,
        );
      }
      const attrs = new DataView(view.buffer, view.byteOffset + at + rtnexthop.size, length - rtnexthop.size);
      hops.push({ header, attrs: readAttrs(nextHopAttrs, attrs) });
      at += (length + 3) & ~3;
    }
    return hops;
  },
};

export const routeKind = {
  name: 'route',
  header: struct({
    family: u8,
    dstLength: u8,
    srcLength: u8,
    tos: u8,
    table: u8,
    protocol: u8,
    scope: u8,
    type: u8,
    flags: u32,
  }),
  attrs: {
    dst: [1, ip],
    src: [2, ip],
    oif: [4, u32],
    gateway: [5, ip],
    priority: [6, u32],
    prefsrc: [7, ip],
    metrics: [8, nest(metrics)],
    multipath: [9, nextHops],
    table: [15, u32],
    pref: [20, u8],
  } satisfies AttrTable,
} as const satisfies MessageKind;

export const RT_TABLE = { MAIN: 254, LOCAL: 255 } as const;
export const RT_SCOPE = { UNIVERSE: 0, LINK: 253, HOST: 254, NOWHERE: 255 } as const;
export const RTN = { UNICAST: 1, LOCAL: 2 } as const;
const RTPROT_UNSPEC = 0;
const RTPROT_BOOT = 3;
/** The gateway is on the link, whatever the addresses say. */
const RTNH_F_ONLINK = 4;

export interface RouteSpec {
  /** The destination; a prefix of length 0 is the default route. */
  readonly dst: Cidr;
  readonly gateway?: Ip;
  /** Index of the link. */
  readonly oif?: number;
  readonly src?: Ip;
  readonly priority?: number;
  readonly table?: number;
  /** RT_SCOPE_*; derived from the gateway when not given, as `ip route` does. */
  readonly scope?: number;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly onlink?: boolean;
  /** rtm_protocol: who added it. */
  readonly protocol?: number;
}

export interface Route extends RouteSpec {
  readonly family: Family;
  readonly table: number;
  readonly scope: number;
  readonly type: number;
  readonly protocol: number;
}

/**
 * Adds a route.
 * Equivalent to: `ip route add 10.2.0.0/16 via 10.1.0.1 dev LINK`
 * @throws NetlinkError EEXIST when there is one to the same destination with the same priority; ENETUNREACH when the
 * gateway cannot be reached
 */
export function add(route: RouteSpec): Request {
  return routeRequest(RTM.NEWROUTE, NLM_F.CREATE | NLM_F.EXCL, 'add', route);
}

/**
 * Adds a route. It goes before an existing one with the same destination and priority: a container on two networks has
 * two default routes.
 * Equivalent to: `ip route prepend …`
 * @throws NetlinkError EEXIST when exactly this route exists
 */
export function prepend(route: RouteSpec): Request {
  return routeRequest(RTM.NEWROUTE, NLM_F.CREATE, 'prepend', route);
}

/** Adds a route, or replaces the one to the same destination. Equivalent to: `ip route replace …` */
export function replace(route: RouteSpec): Request {
  return routeRequest(RTM.NEWROUTE, NLM_F.CREATE | NLM_F.REPLACE, 'replace', route);
}

/**
 * Removes the first route that matches, for IPv4 and IPv6 alike. Fields that are not given (scope, protocol, gateway,
 * priority) match any value.
 * Equivalent to: `ip route del …`
 * @throws NetlinkError ESRCH when there is none
 */
export function remove(route: RouteSpec): Request {
  return routeRequest(RTM.DELROUTE, 0, 'del', route);
}

/**
 * Which routes list() returns. The kernel filters them (since 4.20), so that a host with many routes pays only for
 * these.
 */
export interface RouteFilter {
  readonly oif?: number;
  readonly protocol?: number;
}

/**
 * Lists the unicast routes of all tables of a namespace. A route with several next hops becomes several routes.
 * Equivalent to: `ip route show table all type unicast`
 */
export function list(nl: NetlinkSocket, family?: Family, { oif, protocol }: RouteFilter = {}): Route[] {
  const header = {
    family: family === undefined ? AF.UNSPEC : familyNumber(family),
    ...(protocol !== undefined && { protocol }),
  };
  const all = request(routeKind, RTM.GETROUTE, 0, header, oif === undefined ? {} : { oif }, {
    action: () => 'list the routes',
    command: () =>
      [
        'ip route show table all',
        ...word('dev', oif === undefined ? undefined : `if${oif}`),
        ...word('proto', protocol),
      ].join(' '),
  });
  return nl.dumpAs(all, (message) => {
    const { header } = message;
    const isOne = header.type === RTN.UNICAST && (protocol ?? header.protocol) === header.protocol;
    return isOne ? routesOf(message).filter((each) => oif === undefined || each.oif === oif) : [];
  });
}

/**
 * The route that the kernel would now use for an address; undefined where there is none.
 * Equivalent to: `ip route get 10.1.0.2`
 */
export function lookup(nl: NetlinkSocket, to: Ip): Route | undefined {
  const wanted = request(
    routeKind,
    RTM.GETROUTE,
    0,
    { family: familyNumber(to.family), dstLength: bitsOf(to.family) },
    { dst: to },
    { action: () => `look up the route to ${to}`, command: () => `ip route get ${to}` },
  );
  const answer = nl.find(wanted, ERRNO.ENETUNREACH);
  return answer && routeOf(answer, to.family);
}

function routeRequest(type: number, flags: number, verb: string, route: RouteSpec): Request {
  const { dst, gateway, oif, src, priority, table = RT_TABLE.MAIN, mtu, advmss } = route;
  const isRemoval = type === RTM.DELROUTE;
  const reach = dst.family === 4 && gateway === undefined ? RT_SCOPE.LINK : RT_SCOPE.UNIVERSE;
  return request(
    routeKind,
    type,
    flags,
    {
      family: familyNumber(dst.family),
      dstLength: dst.prefix,
      table: table < 256 ? table : 0,
      protocol: route.protocol ?? (isRemoval ? RTPROT_UNSPEC : RTPROT_BOOT),
      scope: route.scope ?? (isRemoval ? RT_SCOPE.NOWHERE : reach),
      type: RTN.UNICAST,
      flags: route.onlink === true ? RTNH_F_ONLINK : 0,
    },
    {
      ...(dst.prefix > 0 && { dst: dst.first() }),
      ...(gateway !== undefined && { gateway }),
      ...(oif !== undefined && { oif }),
      ...(src !== undefined && { prefsrc: src }),
      ...(priority !== undefined && { priority }),
      ...(table >= 256 && { table }),
      ...((mtu !== undefined || advmss !== undefined) && {
        metrics: { ...(mtu !== undefined && { mtu }), ...(advmss !== undefined && { advmss }) },
      }),
    },
    {
      action: () => `${verb === 'del' ? 'remove' : verb} the route to ${routeWords(route)}`,
      command: () => `${ipCommand(dst.family)} route ${verb} ${routeWords(route)}`,
    },
  );
}

function routeWords(route: RouteSpec): string {
  const { dst, gateway, oif, src, priority, table, mtu, advmss, onlink, scope, protocol } = route;
  return [
    dst.prefix === 0 ? 'default' : `${dst.network()}`,
    ...word('via', gateway),
    ...word('dev', oif === undefined ? undefined : `if${oif}`),
    ...word('src', src),
    ...word('metric', priority),
    ...word('table', table),
    ...word('scope', scope),
    ...word('proto', protocol),
    ...word('mtu', mtu),
    ...word('advmss', advmss),
    ...(onlink === true ? ['onlink'] : []),
  ].join(' ');
}

/**
 * NB: the kernel reports IPv6 routes with the same destination and priority as one route with several next hops, even
 * where each was added by itself.
 */
function routesOf(message: Message<typeof routeKind>): Route[] {
  const family = familyOf(message.header.family);
  if (family === undefined) return [];
  const route = routeOf(message, family);
  const { multipath } = message.attrs;
  if (multipath === undefined) return [route];
  return multipath.map(({ header: { flags = 0, index }, attrs: { gateway } }) => ({
    ...route,
    ...(index !== undefined && { oif: index }),
    ...(gateway !== undefined && { gateway }),
    ...((flags & RTNH_F_ONLINK) !== 0 && { onlink: true }),
  }));
}

function routeOf({ header, attrs }: Message<typeof routeKind>, family: Family): Route {
  return {
    family,
    dst: new Cidr(attrs.dst ?? Ip.unspecified(family), header.dstLength),
    table: attrs.table ?? header.table,
    scope: header.scope,
    type: header.type,
    protocol: header.protocol,
    ...(attrs.gateway !== undefined && { gateway: attrs.gateway }),
    ...(attrs.oif !== undefined && { oif: attrs.oif }),
    ...(attrs.prefsrc !== undefined && { src: attrs.prefsrc }),
    ...(attrs.priority !== undefined && { priority: attrs.priority }),
    ...(attrs.metrics?.mtu !== undefined && { mtu: attrs.metrics.mtu }),
    ...(attrs.metrics?.advmss !== undefined && { advmss: attrs.metrics.advmss }),
    ...((header.flags & RTNH_F_ONLINK) !== 0 && { onlink: true }),
  };
}
