/**
 * What `--driver` may be: each is a plugin type, with its options by docker's and podman's names and the conflist keys
 * that they become. All of it is data, so that help, errors and configuration cannot differ.
 */
import type { MasterNeeds } from '../../attach/master.ts';
import { readHeader } from '../../cni/config.ts';
import { MODES, VNI_MAX, WIRINGS } from '../../overlay/network.ts';
import { MODES as IPVLAN_MODES } from '../../plugins/ipvlan/plugin.ts';
import { MODES as MACVLAN_MODES } from '../../plugins/macvlan/plugin.ts';
import { checkConf, schema } from '../../plugins/overlay/conf.ts';
import type { Json } from '../conflist.ts';
import { absolute, boolean, integer, linkName, oneOf, subnet, urls } from './option-value.ts';

/** An option of `-o NAME=VALUE`. */
interface Option {
  readonly about: string;
  /** The keys of the conflist for a value. @throws a string, what was expected */
  readonly keys: (value: string) => Json;
}

export interface Driver {
  readonly type: string;
  readonly about: string;
  /** Containers share the subnet of a host link, `-o parent=LINK`. What that link must be able to do. */
  readonly parent?: Pick<MasterNeeds, 'takesFrames'>;
  /** The host is on the network, as its gateway. */
  readonly isRouted: boolean;
  /**
   * Has the plugin check the configuration: some options exclude each other, which otherwise only the first container
   * would find.
   * @throws NetloomError invalid-config
   */
  check?(conf: Json): void;
  /**
   * Several hosts have the network, each with a prefix of its one subnet, assigned by a store that all of them reach.
   */
  readonly hasStore?: boolean;
  /** What can be requested for a container when it is connected. */
  readonly capabilities: readonly string[];
  readonly options: Readonly<Record<string, Option>>;
}

const mtu: Option = { about: 'largest packet, in bytes', keys: (value) => ({ mtu: integer(value, 68, 65535) }) };
const parent: Option = { about: 'link of the host to use, needed', keys: (value) => ({ master: linkName(value) }) };
/** For netloom only: it becomes no key of the conflist. */
const parentLater: Option = {
  about: 'the parent need not exist yet (false)',
  keys: (value) => {
    boolean(value);
    return {};
  },
};
const masquerade: Option = {
  about: 'NAT: packets leave with the address of the host (true)',
  keys: (value) => ({ ipMasq: boolean(value) }),
};
const mode = (modes: readonly string[]): Option => ({
  about: `${modes.join(', ')} (${modes[0]})`,
  keys: (value) => ({ mode: oneOf(value, modes) }),
});
const macvlanMode = mode(MACVLAN_MODES);
const ipvlanMode = mode(IPVLAN_MODES);
const bridgeName: Option = { about: 'name of the bridge (br-NAME)', keys: (value) => ({ bridge: linkName(value) }) };
/** Docker's "inter container connectivity" switched off: the ports of the bridge are isolated from each other. */
const icc: Option = {
  about: 'containers reach each other (true)',
  keys: (value) => ({ portIsolation: !boolean(value) }),
};

const overlayPort: Option = {
  about: 'UDP port of the tunnels (4789)',
  keys: (value) => ({ port: integer(value, 1, 65535) }),
};
const vni: Option = {
  about: 'number of the VXLAN (from the name)',
  keys: (value) => ({ vni: integer(value, 1, VNI_MAX) }),
};
/** An option that becomes a key of the conflist's `store`. */
const ofStore = (about: string, keys: (value: string) => Json): Option => ({
  about,
  keys: (value) => ({ store: keys(value) }),
});

export const DRIVER_NAMES = ['bridge', 'macvlan', 'ipvlan', 'vlan', 'ptp', 'overlay'] as const;
export type DriverName = (typeof DRIVER_NAMES)[number];

export const DRIVERS: Readonly<Record<DriverName, Driver>> = {
  bridge: {
    type: 'bridge',
    about: 'a bridge on the host; the host is the gateway',
    isRouted: true,
    capabilities: ['ips', 'mac'],
    options: {
      bridge: bridgeName,
      mtu,
      masquerade,
      icc,
      vlan: { about: 'VLAN of the containers, 1 to 4094', keys: (value) => ({ vlan: integer(value, 1, 4094) }) },
      'com.docker.network.bridge.name': bridgeName,
      'com.docker.network.driver.mtu': mtu,
      'com.docker.network.bridge.enable_ip_masquerade': masquerade,
      'com.docker.network.bridge.enable_icc': icc,
    },
  },
  macvlan: {
    type: 'macvlan',
    about: "containers are on the host's LAN, each with its own MAC",
    parent: { takesFrames: true },
    isRouted: false,
    capabilities: ['ips', 'mac'],
    options: { parent, parent_later: parentLater, mtu, macvlan_mode: macvlanMode, mode: macvlanMode },
  },
  ipvlan: {
    type: 'ipvlan',
    about: "containers are on the host's LAN, with the MAC of the host",
    parent: { takesFrames: true },
    isRouted: false,
    capabilities: ['ips'],
    options: { parent, parent_later: parentLater, mtu, ipvlan_mode: ipvlanMode, mode: ipvlanMode },
  },
  vlan: {
    type: 'vlan',
    about: 'an 802.1Q VLAN on a link of the host',
    parent: { takesFrames: false },
    isRouted: false,
    capabilities: ['ips'],
    options: {
      parent,
      parent_later: parentLater,
      mtu,
      vlan: { about: 'id of the VLAN, 1 to 4094', keys: (value) => ({ vlanId: integer(value, 1, 4094) }) },
    },
  },
  ptp: {
    type: 'ptp',
    about: 'a routed wire for each container',
    isRouted: true,
    capabilities: ['ips'],
    options: { mtu, masquerade },
  },
  overlay: {
    type: 'overlay',
    about: 'one network on several hosts',
    isRouted: true,
    hasStore: true,
    check: (conf) => void checkConf(schema.read(readHeader(JSON.stringify(conf)))),
    capabilities: ['ips', 'mac'],
    options: {
      path: ofStore('directory that the hosts share, needed without etcd', (value) => ({
        type: 'file',
        path: absolute(value),
      })),
      etcd: ofStore('URLs of an etcd, separated by commas', (value) => ({ type: 'etcd', endpoints: urls(value) })),
      ca: ofStore('file with the CA certificate of etcd', (value) => ({ ca: absolute(value) })),
      cert: ofStore('file with the client certificate for etcd', (value) => ({ cert: absolute(value) })),
      key: ofStore('file with the key of that certificate', (value) => ({ key: absolute(value) })),
      user: ofStore('user of etcd', (value) => ({ user: value })),
      password_file: ofStore('file with the password of that user', (value) => ({ passwordFile: absolute(value) })),
      mode: mode(MODES),
      wiring: {
        about: 'how a container gets to its host: bridge, routed (bridge)',
        keys: (value) => ({ wiring: oneOf(value, WIRINGS) }),
      },
      node: { about: 'name of this host (its hostname)', keys: (value) => ({ node: value }) },
      node_prefix: {
        about: 'length of the prefix of each host (24; IPv6: 64)',
        keys: (value) => ({ nodePrefix: integer(value, 1, 126) }),
      },
      underlay: {
        about: 'subnet in which the hosts reach each other',
        keys: (value) => ({ underlay: subnet(value) }),
      },
      vni,
      port: overlayPort,
      mtu,
      masquerade,
      'com.docker.network.driver.mtu': mtu,
      'com.docker.network.driver.overlay.vxlanid_list': vni,
    },
  },
};
