/** Numbers of linux/rtnetlink.h, linux/if.h and linux/socket.h that several verbs share. */

export const AF = { UNSPEC: 0, INET: 2, BRIDGE: 7, INET6: 10 } as const;

export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTCLASS: 40,
  DELTCLASS: 41,
  GETTCLASS: 42,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
  NEWNETCONF: 80,
  GETNETCONF: 82,
  NEWNSID: 88,
  GETNSID: 90,
} as const;

/** Flags of a link. */
export const IFF = {
  UP: 0x1,
  LOOPBACK: 0x8,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  LOWER_UP: 0x10000,
} as const;

/** ARPHRD_*: what kind of hardware address a link has. linux/if_arp.h. */
export const ARPHRD = { ETHER: 1, LOOPBACK: 772 } as const;

/** IF_OPER_*: the state of a link by RFC 2863. */
export const OPER = { UNKNOWN: 0, DOWN: 2, LOWERLAYERDOWN: 3, UP: 6 } as const;

/** Multicast groups of rtnetlink. */
export const RTNLGRP = { LINK: 1, IPV4_IFADDR: 5, IPV4_ROUTE: 7, IPV6_IFADDR: 9, IPV6_ROUTE: 11 } as const;

/** rtm_protocol of the routes that netloom adds and only netloom removes. Free in iproute2's rt_protos. */
export const RTPROT_NETLOOM = 110;

/** rtm_protocol of the routes to the other nodes of an overlay. Free in iproute2's rt_protos. */
export const RTPROT_OVERLAY = 111;
