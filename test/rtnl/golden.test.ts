/**
 * Golden bytes of rtnetlink, both ways. Layouts: linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h, if_bridge.h,
 * veth.h.
 */
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import { writeAttrs } from '../../src/netlink/attribute.ts';
import { type Message, type MessageKind, NLM_F, type Request, readMessage } from '../../src/netlink/message.ts';
import * as addr from '../../src/rtnl/addr.ts';
import * as bridgeVlan from '../../src/rtnl/bridge-vlan.ts';
import * as fdb from '../../src/rtnl/fdb.ts';
import * as inet from '../../src/rtnl/inet.ts';
import * as link from '../../src/rtnl/link.ts';
import * as neigh from '../../src/rtnl/neigh.ts';
import * as route from '../../src/rtnl/route.ts';
import { bytes, hex, viewOf, written } from '../netlink/bytes.ts';
import { bodyHex } from './messages.ts';

function read<K extends MessageKind>(kind: K, data: Uint8Array): Pick<Message<K>, 'header' | 'attrs'> {
  const { header, attrs } = readMessage(kind, { type: 0, flags: 0, sequence: 0, payload: viewOf(data) });
  return { header, attrs };
}

const MAC = parseMac('02:42:0a:01:00:02');

interface Golden {
  readonly title: string;
  readonly request: Request;
  readonly type: number;
  readonly flags: number;
  readonly bytes: string;
}

const { APPEND, CREATE, EXCL, ECHO, REPLACE } = NLM_F;

const GOLDEN: readonly Golden[] = [
  {
    title: 'a veth with its peer in another namespace, up, plugged into a bridge',
    request: link.add(
      {
        name: 'veth0',
        mtu: 1400,
        master: 5,
        linkinfo: {
          kind: 'veth',
          data: { peer: { attrs: { name: 'eth0', mtu: 1400, address: MAC, netnsFd: 9 } } },
        },
      },
      { up: true },
    ),
    type: 16, // RTM_NEWLINK
    flags: CREATE | EXCL | ECHO,
    bytes: `
      00  00  00 00                              # ifi_family AF_UNSPEC, padding, ifi_type
      00 00 00 00                                # ifi_index: a new one
      01 00 00 00                                # ifi_flags IFF_UP
      01 00 00 00                                # ifi_change IFF_UP
      0a 00  03 00  76 65 74 68 30 00  00 00     # IFLA_IFNAME "veth0"
      08 00  04 00  78 05 00 00                  # IFLA_MTU 1400
      08 00  0a 00  05 00 00 00                  # IFLA_MASTER 5
      50 00  12 80                               # IFLA_LINKINFO, nested
        09 00  01 00  76 65 74 68 00  00 00 00   #   IFLA_INFO_KIND "veth"
        40 00  02 80                             #   IFLA_INFO_DATA, nested
          3c 00  01 80                           #     VETH_INFO_PEER, nested: an ifinfomsg and attributes of its own
            00  00  00 00                        #       family, padding, type
            00 00 00 00                          #       index
            00 00 00 00                          #       flags: NB not IFF_UP
            00 00 00 00                          #       change
            09 00  03 00  65 74 68 30 00  00 00 00  #    IFLA_IFNAME "eth0"
            08 00  04 00  78 05 00 00            #       IFLA_MTU 1400
            0a 00  01 00  02 42 0a 01 00 02  00 00  #    IFLA_ADDRESS
            08 00  1c 00  09 00 00 00            #       IFLA_NET_NS_FD 9
    `,
  },
  {
    title: 'a setting of IPv4 on a link',
    request: inet.notifyArp(5),
    type: 16,
    flags: 0,
    bytes: `
      00  00  00 00  05 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg: ifi_index 5
      14 00  1a 80                               # IFLA_AF_SPEC, nested
        10 00  02 80                             #   AF_INET, nested
          0c 00  01 80                           #     IFLA_INET_CONF, nested
            08 00  16 00  01 00 00 00            #       IPV4_DEVCONF_ARP_NOTIFY
    `,
  },
  {
    title: 'a bridge with data',
    request: link.add({
      name: 'cni0',
      linkinfo: {
        kind: 'bridge',
        data: { forward_delay: 1500, stp_state: 0, vlan_filtering: true, vlan_protocol: 0x8100, vlan_default_pvid: 1 },
      },
    }),
    type: 16,
    flags: CREATE | EXCL | ECHO,
    bytes: `
      00  00  00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
      09 00  03 00  63 6e 69 30 00  00 00 00     # IFLA_IFNAME "cni0"
      3c 00  12 80                               # IFLA_LINKINFO
        0b 00  01 00  62 72 69 64 67 65 00  00   #   IFLA_INFO_KIND "bridge"
        2c 00  02 80                             #   IFLA_INFO_DATA
          08 00  01 00  dc 05 00 00              #     IFLA_BR_FORWARD_DELAY 15 s
          08 00  05 00  00 00 00 00              #     IFLA_BR_STP_STATE 0
          05 00  07 00  01  00 00 00             #     IFLA_BR_VLAN_FILTERING 1
          06 00  08 00  81 00  00 00             #     IFLA_BR_VLAN_PROTOCOL 802.1Q, big endian
          06 00  27 00  01 00  00 00             #     IFLA_BR_VLAN_DEFAULT_PVID 1
    `,
  },
  {
    title: 'the options of a bridge port',
    request: link.set(
      { index: 7 },
      { linkinfo: { slaveKind: 'bridge', slaveData: { hairpin: true, learning: false, isolated: true } } },
    ),
    type: 16,
    flags: 0,
    bytes: `
      00  00  00 00  07 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg of link 7
      2c 00  12 80                               # IFLA_LINKINFO
        0b 00  04 00  62 72 69 64 67 65 00  00   #   IFLA_INFO_SLAVE_KIND "bridge"
        1c 00  05 80                             #   IFLA_INFO_SLAVE_DATA
          05 00  04 00  01  00 00 00             #     IFLA_BRPORT_MODE: hairpin on
          05 00  08 00  00  00 00 00             #     IFLA_BRPORT_LEARNING off
          05 00  21 00  01  00 00 00             #     IFLA_BRPORT_ISOLATED on
    `,
  },
  {
    title: 'a VLAN of a link',
    request: link.add({ name: 'v5', link: 3, linkinfo: { kind: 'vlan', data: { id: 5, protocol: 0x88a8 } } }),
    type: 16,
    flags: CREATE | EXCL | ECHO,
    bytes: `
      00  00  00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
      07 00  03 00  76 35 00  00                 # IFLA_IFNAME "v5"
      08 00  05 00  03 00 00 00                  # IFLA_LINK 3
      24 00  12 80                               # IFLA_LINKINFO
        09 00  01 00  76 6c 61 6e 00  00 00 00   #   IFLA_INFO_KIND "vlan"
        14 00  02 80                             #   IFLA_INFO_DATA
          06 00  01 00  05 00  00 00             #     IFLA_VLAN_ID 5
          06 00  05 00  88 a8  00 00             #     IFLA_VLAN_PROTOCOL 802.1ad, big endian
    `,
  },
  {
    title: 'a macvlan link with its MAC, in another namespace',
    request: link.add({
      name: 'eth0',
      link: 3,
      address: MAC,
      linkinfo: { kind: 'macvlan', data: { mode: 'bridge', bcqueuelen: 5000 } },
      netnsFd: 9,
    }),
    type: 16,
    flags: CREATE | EXCL | ECHO,
    bytes: `
      00  00  00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
      09 00  03 00  65 74 68 30 00  00 00 00     # IFLA_IFNAME "eth0"
      08 00  05 00  03 00 00 00                  # IFLA_LINK 3
      0a 00  01 00  02 42 0a 01 00 02  00 00     # IFLA_ADDRESS
      24 00  12 80                               # IFLA_LINKINFO
        0c 00  01 00  6d 61 63 76 6c 61 6e 00    #   IFLA_INFO_KIND "macvlan"
        14 00  02 80                             #   IFLA_INFO_DATA
          08 00  01 00  04 00 00 00              #     IFLA_MACVLAN_MODE MACVLAN_MODE_BRIDGE
          08 00  07 00  88 13 00 00              #     IFLA_MACVLAN_BC_QUEUE_LEN 5000
      08 00  1c 00  09 00 00 00                  # IFLA_NET_NS_FD 9
    `,
  },
  {
    title: 'an ipvlan link with an MTU',
    request: link.add({ name: 'i0', link: 3, mtu: 1400, linkinfo: { kind: 'ipvlan', data: { mode: 'l3s' } } }),
    type: 16,
    flags: CREATE | EXCL | ECHO,
    bytes: `
      00  00  00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
      07 00  03 00  69 30 00  00                 # IFLA_IFNAME "i0"
      08 00  05 00  03 00 00 00                  # IFLA_LINK 3
      08 00  04 00  78 05 00 00                  # IFLA_MTU 1400
      1c 00  12 80                               # IFLA_LINKINFO
        0b 00  01 00  69 70 76 6c 61 6e 00  00   #   IFLA_INFO_KIND "ipvlan"
        0c 00  02 80                             #   IFLA_INFO_DATA
          06 00  01 00  02 00  00 00             #     IFLA_IPVLAN_MODE IPVLAN_MODE_L3S
    `,
  },
  {
    title: 'a tunnel over IPv4 that learns nothing',
    request: link.add({
      name: 'x0',
      linkinfo: {
        kind: 'vxlan',
        data: { id: 0x123456, local: Ip.parse('192.0.2.1'), learning: false, dstport: 4789, df: 'inherit' },
      },
    }),
    type: 16,
    flags: CREATE | EXCL | ECHO,
    bytes: `
      00  00  00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
      07 00  03 00  78 30 00  00                 # IFLA_IFNAME "x0"
      3c 00  12 80                               # IFLA_LINKINFO
        0a 00  01 00  76 78 6c 61 6e 00  00 00   #   IFLA_INFO_KIND "vxlan"
        2c 00  02 80                             #   IFLA_INFO_DATA
          08 00  01 00  56 34 12 00              #     IFLA_VXLAN_ID
          08 00  04 00  c0 00 02 01              #     IFLA_VXLAN_LOCAL 192.0.2.1
          05 00  07 00  00  00 00 00             #     IFLA_VXLAN_LEARNING off
          06 00  0f 00  12 b5  00 00             #     IFLA_VXLAN_PORT 4789, big endian
          05 00  1d 00  02  00 00 00             #     IFLA_VXLAN_DF VXLAN_DF_INHERIT
    `,
  },
  {
    title: 'where a MAC is on the underlay',
    request: fdb.replace(7, parseMac('02:42:0a:01:00:02'), Ip.parse('192.0.2.2')),
    type: 28, // RTM_NEWNEIGH
    flags: CREATE | REPLACE,
    bytes: `
      07  00  00 00                              # ndm_family AF_BRIDGE, padding
      07 00 00 00                                # ndm_ifindex
      80 00  02  00                              # ndm_state NUD_PERMANENT, ndm_flags NTF_SELF, ndm_type
      0a 00  02 00  02 42 0a 01 00 02  00 00     # NDA_LLADDR
      08 00  01 00  c0 00 02 02                  # NDA_DST 192.0.2.2
    `,
  },
  {
    title: 'one more station for frames of any MAC, over IPv6',
    request: fdb.append(7, fdb.ANY_MAC, Ip.parse('2001:db8::2')),
    type: 28,
    flags: CREATE | APPEND,
    bytes: `
      07  00  00 00  07 00 00 00  80 00  02  00  # ndmsg of link 7: AF_BRIDGE, NUD_PERMANENT, NTF_SELF
      0a 00  02 00  00 00 00 00 00 00  00 00     # NDA_LLADDR
      14 00  01 00  20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02  # NDA_DST
    `,
  },
  {
    title: 'the removal of an entry of the FDB',
    request: fdb.remove(7, parseMac('02:42:0a:01:00:02'), Ip.parse('192.0.2.2')),
    type: 29, // RTM_DELNEIGH
    flags: 0,
    bytes: `
      07  00  00 00  07 00 00 00  00 00  02  00  # ndmsg of link 7: AF_BRIDGE, NTF_SELF
      0a 00  02 00  02 42 0a 01 00 02  00 00     # NDA_LLADDR
      08 00  01 00  c0 00 02 02                  # NDA_DST
    `,
  },
  {
    title: 'a dummy link, which has no data',
    request: link.add({ name: 'd0', linkinfo: { kind: 'dummy' } }),
    type: 16,
    flags: CREATE | EXCL | ECHO,
    bytes: `
      00  00  00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
      07 00  03 00  64 30 00  00                 # IFLA_IFNAME "d0"
      10 00  12 80                               # IFLA_LINKINFO
        0a 00  01 00  64 75 6d 6d 79 00  00 00   #   IFLA_INFO_KIND "dummy"
    `,
  },
  {
    title: 'the name and the mark of a link',
    request: link.set({ index: 7 }, { name: 'eth0', alias: 'netloom:n/c' }),
    type: 16,
    flags: 0,
    bytes: `
      00  00  00 00  07 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg of link 7
      09 00  03 00  65 74 68 30 00  00 00 00     # IFLA_IFNAME "eth0": its new one
      10 00  14 00  6e 65 74 6c 6f 6f 6d 3a 6e 2f 63 00  # IFLA_IFALIAS "netloom:n/c"
    `,
  },
  {
    title: 'the flags of a link that is named by its name',
    request: link.set({ name: 'eth0' }, { mtu: 1400 }, { up: false, promisc: true, arp: false }),
    type: 16,
    flags: 0,
    bytes: `
      00  00  00 00                              # family, padding, type
      00 00 00 00                                # index: by name
      80 01 00 00                                # flags IFF_NOARP, IFF_PROMISC
      81 01 00 00                                # change IFF_NOARP, IFF_PROMISC, IFF_UP
      09 00  03 00  65 74 68 30 00  00 00 00     # IFLA_IFNAME "eth0"
      08 00  04 00  78 05 00 00                  # IFLA_MTU 1400
    `,
  },
  {
    title: 'the removal of a group of links',
    request: link.remove({ group: 0x6e6c0001 }),
    type: 17, // RTM_DELLINK
    flags: 0,
    bytes: `
      00  00  00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
      08 00  1b 00  01 00 6c 6e                  # IFLA_GROUP
    `,
  },
  {
    title: 'an IPv4 address with its broadcast address',
    request: addr.add(7, Cidr.parse('10.1.0.2/24')),
    type: 20, // RTM_NEWADDR
    flags: CREATE | EXCL,
    bytes: `
      02  18  00  00                             # ifa_family AF_INET, prefix 24, flags, scope universe
      07 00 00 00                                # ifa_index
      08 00  02 00  0a 01 00 02                  # IFA_LOCAL 10.1.0.2
      08 00  01 00  0a 01 00 02                  # IFA_ADDRESS the same: not point to point
      08 00  04 00  0a 01 00 ff                  # IFA_BROADCAST 10.1.0.255
    `,
  },
  {
    title: 'an IPv4 address of a prefix without a broadcast address, without a route to its subnet',
    request: addr.add(7, Cidr.parse('10.1.0.2/31'), { noPrefixRoute: true }),
    type: 20,
    flags: CREATE | EXCL,
    bytes: `
      02  1f  00  00  07 00 00 00                # ifaddrmsg: AF_INET, prefix 31, link 7
      08 00  02 00  0a 01 00 02                  # IFA_LOCAL
      08 00  01 00  0a 01 00 02                  # IFA_ADDRESS
      08 00  08 00  00 02 00 00                  # IFA_FLAGS IFA_F_NOPREFIXROUTE
    `,
  },
  {
    title: 'an IPv6 address that is used at once',
    request: addr.add(7, Cidr.parse('fd00::2/64'), { nodad: true }),
    type: 20,
    flags: CREATE | EXCL,
    bytes: `
      0a  40  00  00  07 00 00 00                # ifaddrmsg: AF_INET6, prefix 64, link 7
      14 00  02 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02  # IFA_LOCAL
      14 00  01 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02  # IFA_ADDRESS
      08 00  08 00  02 00 00 00                  # IFA_FLAGS IFA_F_NODAD
    `,
  },
  {
    title: 'a route with gateway, metrics, priority, and a table above 255',
    request: route.add({
      dst: Cidr.parse('10.2.3.4/16'),
      gateway: Ip.parse('10.1.0.1'),
      oif: 7,
      src: Ip.parse('10.1.0.2'),
      priority: 100,
      table: 1000,
      mtu: 1400,
      advmss: 1360,
      onlink: true,
      protocol: 110,
    }),
    type: 24, // RTM_NEWROUTE
    flags: CREATE | EXCL,
    bytes: `
      02  10  00  00                             # rtm_family AF_INET, dst 16 bits, src 0 bits, tos
      00  6e  00  01                             # table: in RTA_TABLE; protocol 110; scope universe; RTN_UNICAST
      04 00 00 00                                # rtm_flags RTNH_F_ONLINK
      08 00  01 00  0a 02 00 00                  # RTA_DST 10.2.0.0: host bits cleared
      08 00  05 00  0a 01 00 01                  # RTA_GATEWAY
      08 00  04 00  07 00 00 00                  # RTA_OIF
      08 00  07 00  0a 01 00 02                  # RTA_PREFSRC
      08 00  06 00  64 00 00 00                  # RTA_PRIORITY 100
      08 00  0f 00  e8 03 00 00                  # RTA_TABLE 1000
      14 00  08 80                               # RTA_METRICS, nested
        08 00  02 00  78 05 00 00                #   RTAX_MTU 1400
        08 00  08 00  50 05 00 00                #   RTAX_ADVMSS 1360
    `,
  },
  {
    title: 'a route to what is on the link has the scope of the link',
    request: route.replace({ dst: Cidr.parse('10.2.0.0/16'), oif: 7, table: 200 }),
    type: 24,
    flags: CREATE | REPLACE,
    bytes: `
      02  10  00  00                             # AF_INET, 16 bits
      c8  03  fd  01                             # table 200, RTPROT_BOOT, RT_SCOPE_LINK, RTN_UNICAST
      00 00 00 00                                # flags
      08 00  01 00  0a 02 00 00                  # RTA_DST
      08 00  04 00  07 00 00 00                  # RTA_OIF
    `,
  },
  {
    title: 'a default route of IPv6',
    request: route.prepend({ dst: Cidr.parse('::/0'), gateway: Ip.parse('fd00::1') }),
    type: 24,
    flags: CREATE,
    bytes: `
      0a  00  00  00                             # AF_INET6, no destination
      fe  03  00  01                             # main table, RTPROT_BOOT, universe, RTN_UNICAST
      00 00 00 00
      14 00  05 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01  # RTA_GATEWAY
    `,
  },
  {
    title: 'the removal of a route matches any scope and protocol',
    request: route.remove({ dst: Cidr.parse('10.2.0.0/16') }),
    type: 25, // RTM_DELROUTE
    flags: 0,
    bytes: `
      02  10  00  00                             # AF_INET, 16 bits
      fe  00  ff  01                             # main table, RTPROT_UNSPEC, RT_SCOPE_NOWHERE, RTN_UNICAST
      00 00 00 00
      08 00  01 00  0a 02 00 00                  # RTA_DST
    `,
  },
  {
    title: 'a permanent neighbour',
    request: neigh.replace(7, Ip.parse('10.1.0.9'), MAC),
    type: 28, // RTM_NEWNEIGH
    flags: CREATE | REPLACE,
    bytes: `
      02  00  00 00                              # ndm_family AF_INET, padding
      07 00 00 00                                # ndm_ifindex
      80 00  00  00                              # ndm_state NUD_PERMANENT, ndm_flags, ndm_type
      08 00  01 00  0a 01 00 09                  # NDA_DST
      0a 00  02 00  02 42 0a 01 00 02  00 00     # NDA_LLADDR
    `,
  },
  {
    title: 'a VLAN of a bridge port, its untagged one',
    request: bridgeVlan.add(7, [{ first: 100, last: 100, pvid: true, untagged: true }]),
    type: 19, // RTM_SETLINK
    flags: 0,
    bytes: `
      07  00  00 00  07 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg of AF_BRIDGE, link 7
      0c 00  1a 80                               # IFLA_AF_SPEC, nested
        08 00  02 00  06 00  64 00               #   IFLA_BRIDGE_VLAN_INFO: PVID and UNTAGGED, 100
    `,
  },
  {
    title: 'VLANs of the bridge itself: one, and a range',
    request: bridgeVlan.add(
      3,
      [
        { first: 5, last: 5 },
        { first: 10, last: 20, untagged: true },
      ],
      { self: true },
    ),
    type: 19,
    flags: 0,
    bytes: `
      07  00  00 00  03 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg of AF_BRIDGE, link 3
      24 00  1a 80                               # IFLA_AF_SPEC, nested
        06 00  00 00  02 00  00 00               #   IFLA_BRIDGE_FLAGS: BRIDGE_FLAGS_SELF
        08 00  02 00  00 00  05 00               #   IFLA_BRIDGE_VLAN_INFO: 5
        08 00  02 00  0c 00  0a 00               #   RANGE_BEGIN and UNTAGGED, 10
        08 00  02 00  14 00  14 00               #   RANGE_END and UNTAGGED, 20
    `,
  },
  {
    title: 'the removal of a VLAN of a port',
    request: bridgeVlan.remove(7, [{ first: 1, last: 1 }]),
    type: 17, // RTM_DELLINK
    flags: 0,
    bytes: `
      07  00  00 00  07 00 00 00  00 00 00 00  00 00 00 00
      0c 00  1a 80
        08 00  02 00  00 00  01 00               #   IFLA_BRIDGE_VLAN_INFO: 1
    `,
  },
];

for (const { title, request, type, flags, bytes: golden } of GOLDEN) {
  test(`${title}: as the kernel wants it`, (t) => {
    t.is(request.type, type);
    t.is(request.flags, flags);
    t.is(bodyHex(request), hex(bytes(golden)));
  });

  test(`${title}: read back it is written again`, (t) => {
    const { header, attrs } = read(request.kind, bytes(golden));
    const again = written((out) => {
      request.kind.header.write(out, header);
      writeAttrs(out, request.kind.attrs, attrs);
    });
    t.is(hex(again), hex(bytes(golden)));
    t.is(attrs.other, undefined);
  });
}

test('a link is read with kind, port and namespace of its other end', (t) => {
  const data = bytes(`
    00  00  01 00  07 00 00 00  43 10 01 00  00 00 00 00    # ifinfomsg: ARPHRD_ETHER, link 7, UP BROADCAST RUNNING MULTICAST LOWER_UP
    0a 00  03 00  76 65 74 68 30 00  00 00        # IFLA_IFNAME "veth0"
    05 00  10 00  06  00 00 00                    # IFLA_OPERSTATE up
    08 00  04 00  78 05 00 00                     # IFLA_MTU 1400
    08 00  0a 00  05 00 00 00                     # IFLA_MASTER 5
    0a 00  01 00  02 42 0a 01 00 02  00 00        # IFLA_ADDRESS
    08 00  25 00  00 00 00 00                     # IFLA_LINK_NETNSID 0
    08 00  05 00  02 00 00 00                     # IFLA_LINK 2, in that namespace
    30 00  12 00                                  # IFLA_LINKINFO: the kernel sets no NLA_F_NESTED
      09 00  01 00  76 65 74 68 00  00 00 00      #   IFLA_INFO_KIND "veth"
      0b 00  04 00  62 72 69 64 67 65 00  00      #   IFLA_INFO_SLAVE_KIND "bridge"
      14 00  05 00                                #   IFLA_INFO_SLAVE_DATA
        05 00  01 00  03  00 00 00                #     IFLA_BRPORT_STATE forwarding
        05 00  c8 00  09  00 00 00                #     200, of some later kernel
    06 00  c8 00  01 02  00 00                    # 200, of some later kernel
  `);
  const message = read(link.linkKind, data);
  t.deepEqual(message.attrs.linkinfo, {
    kind: 'veth',
    slaveKind: 'bridge',
    slaveData: { state: 3, other: [{ type: 200, payload: Uint8Array.of(9) }] },
  });
  t.deepEqual(message.attrs.other, [{ type: 200, payload: Uint8Array.of(1, 2) }]);
  const { attrs: _, ...found } = link.linkOf({ type: 16, ...message });
  t.deepEqual(found, {
    index: 7,
    name: 'veth0',
    flags: 0x11043,
    mac: MAC,
    mtu: 1400,
    hardware: 1,
    kind: 'veth',
    master: 5,
    alias: undefined,
    isUp: true,
    isOperational: true,
  });
});

test('the data of a kind without a table is kept in other', (t) => {
  const data = bytes(`
    00  00  01 00  07 00 00 00  00 00 00 00  00 00 00 00
    24 00  12 00                                  # IFLA_LINKINFO
      0a 00  01 00  67 74 70 78 78 00  00 00      #   IFLA_INFO_KIND "gtpxx"
      0c 00  02 00                                #   IFLA_INFO_DATA
        08 00  01 00  2a 00 00 00                 #     the kind's own 42
      08 00  03 00  01 02 03 04                   #   IFLA_INFO_XSTATS, of no use to us
  `);
  t.deepEqual(read(link.linkKind, data).attrs.linkinfo, {
    kind: 'gtpxx',
    data: { other: [{ type: 1, payload: Uint8Array.of(42, 0, 0, 0) }] },
    other: [{ type: 3, payload: Uint8Array.of(1, 2, 3, 4) }],
  });
});

test('a route of several next hops is read with each', (t) => {
  const data = bytes(`
    0a  00  00  00  fe  03  00  01  00 00 00 00   # rtmsg: AF_INET6, default, main table
    08 00  0f 00  fe 00 00 00                     # RTA_TABLE
    3c 00  09 00                                  # RTA_MULTIPATH
      1c 00  00  00  07 00 00 00                  #   rtnexthop: 28 bytes, flags, weight 1, link 7
        14 00  05 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01  # RTA_GATEWAY
      1c 00  04  01  08 00 00 00                  #   rtnexthop: RTNH_F_ONLINK, weight 2, link 8
        14 00  05 00  fd 00 00 01 00 00 00 00 00 00 00 00 00 00 00 01  # RTA_GATEWAY
  `);
  t.deepEqual(read(route.routeKind, data).attrs.multipath, [
    { header: { flags: 0, hops: 0, index: 7 }, attrs: { gateway: Ip.parse('fd00::1') } },
    { header: { flags: 4, hops: 1, index: 8 }, attrs: { gateway: Ip.parse('fd00:1::1') } },
  ]);
});

test('every request says in one sentence what it does, and how iproute2 or sysctl would', (t) => {
  for (const { request } of GOLDEN) {
    t.regex(request.action, /^(create|change|remove|add|replace|prepend|set) .*[^.]$/);
    t.regex(request.command, /^(ip|bridge|sysctl) /);
    t.notRegex(request.command, /\[object|undefined/);
  }
});
