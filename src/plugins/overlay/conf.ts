/** The keys of the overlay plugin. docs/overlay.md */
import * as v from 'valibot';
import { firstMac, macInArgs } from '../../attach/asked-mac.ts';
import type { CniCall } from '../../cni/call.ts';
import { boolean, type ConfOf, cidr, confSchema, integer, ip, isName, object, text } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import { bitsOf } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import type { EtcdMembership } from '../../overlay/etcd/settings.ts';
import type { FileMembership } from '../../overlay/members.ts';
import type { Membership } from '../../overlay/membership.ts';
import {
  MODES,
  type Mode,
  type OverlayNetwork,
  type OverlayNode,
  VNI_MAX,
  vniOf,
  WIRINGS,
} from '../../overlay/network.ts';
import { etcdKeys, etcdOf } from './etcd.ts';
import { invalid, pathOf } from './invalid.ts';

/** The port of RFC 7348. The kernel's own default is another, from before a port was assigned. */
const PORT = 4789;
/** Bits of a prefix that are left for hosts: network, gateway, one container and in IPv4 the broadcast address. */
const HOST_BITS = 2;
/** The prefix length of a node, if the configuration names none. */
const NODE_PREFIX = { 4: 24, 6: 64 } as const;
const NAME = 'letters, digits, "_", "." and "-", and one of the first two first';

const mac = v.exactOptional(text);

export const schema = confSchema(() => ({
  mode: v.optional(text, 'l3'),
  wiring: v.optional(text, 'bridge'),
  vni: v.exactOptional(integer(1, VNI_MAX)),
  port: v.optional(integer(1, 65535), PORT),
  mtu: v.optional(integer(0, 65535), 0),
  subnet: cidr,
  nodePrefix: v.exactOptional(integer(0, 128)),
  node: v.exactOptional(text),
  internal: v.optional(boolean, false),
  ipMasq: v.optional(boolean, true),
  underlay: v.exactOptional(cidr),
  store: object({
    type: text,
    path: v.exactOptional(text),
    ...etcdKeys,
    nodes: v.optional(v.array(object({ name: text, address: ip, subnet: cidr })), []),
  }),
  runtimeConfig: v.optional(object({ mac }), {}),
  args: v.optional(object({ cni: v.optional(object({ mac }), {}) }), {}),
}));

export type OverlayConf = ConfOf<typeof schema>;

/** Where the nodes are: in the configuration, in a directory, or in an etcd that the agent speaks to. */
export type NodeSource =
  | { readonly nodes: readonly OverlayNode[] }
  | { readonly file: FileMembership }
  | { readonly etcd: EtcdMembership };

/**
 * The network, and where its nodes are, as far as the configuration alone can tell. Before any change.
 * @throws NetloomError invalid-config
 */
export function checkConf(conf: OverlayConf): { readonly network: OverlayNetwork; readonly source: NodeSource } {
  const { name, vni = vniOf(name), port, subnet, store } = conf;
  const mode = MODES.find((each): each is Mode => each === conf.mode);
  if (mode === undefined) throw invalid('mode', conf.mode, MODES.join(', '));
  if (subnet.hasHostBits()) throw invalid('subnet', `${subnet}`, `the prefix itself, ${subnet.network()}`);
  checkWiring(conf);
  checkIpam(conf);
  const network = { name, mode, vni, port, subnet };
  if (store.type === 'file') {
    const path = pathOf(store.path ?? '', 'path', 'a directory');
    return { network, source: { file: { ...membershipOf(conf), path } } };
  }
  if (store.type === 'etcd') {
    return {
      network,
      source: {
        etcd: { ...membershipOf(conf), etcd: etcdOf(store), hasBlocks: mode === 'l2', leases: leasesOf(conf) },
      },
    };
  }
  if (store.type !== 'static') throw invalid('store.type', store.type, 'static, file, etcd');
  checkNodes(conf, mode);
  return { network, source: { nodes: store.nodes } };
}

/** The mode `l2` and an internal network both need the bridge. */
function checkWiring({ wiring, mode, internal }: OverlayConf): void {
  if (!WIRINGS.some((each) => each === wiring)) throw invalid('wiring', wiring, WIRINGS.join(', '));
  if (wiring !== 'routed') return;
  if (mode === 'l2') throw invalid('wiring', wiring, 'bridge, since "mode" is "l2"');
  if (internal) throw invalid('wiring', wiring, 'bridge, since the network is "internal"');
}

/** Whether each container has a routed wire of its own instead of a port of the bridge. */
export function isRouted({ wiring }: Pick<OverlayConf, 'wiring'>): boolean {
  return wiring === 'routed';
}

function leasesOf({ ipam }: OverlayConf): string | undefined {
  const directory = ipam?.['dataDir'];
  return typeof directory === 'string' && directory !== '' ? directory : undefined;
}

function membershipOf({ name, subnet, nodePrefix, node, underlay }: OverlayConf): Membership {
  if (node !== undefined && !isName(node)) throw invalid('node', node, NAME);
  const prefix = nodePrefix ?? NODE_PREFIX[subnet.family];
  const most = bitsOf(subnet.family) - HOST_BITS;
  if (prefix < subnet.prefix || prefix > most) {
    throw invalid(
      'nodePrefix',
      `${prefix}`,
      `a whole number from ${subnet.prefix} to ${most}, since "subnet" is ${subnet}`,
    );
  }
  return { network: name, subnet, nodePrefix: prefix, node, underlay };
}

function checkNodes({ subnet, nodePrefix, store: { nodes } }: OverlayConf, mode: Mode): void {
  if (nodes.length === 0) throw invalid('store.nodes', '[]', 'at least this machine');
  const [names, addresses] = [new Map<string, number>(), new Map<string, number>()];
  const bits = bitsOf(subnet.family);
  for (const [i, { name, address, subnet: own }] of nodes.entries()) {
    const at = `store.nodes[${i}]`;
    if (!isName(name)) throw invalid(`${at}.name`, name, NAME);
    refuseTwice(names, name, i, 'name');
    refuseTwice(addresses, `${address}`, i, 'address');
    if (address.isMulticast()) throw invalid(`${at}.address`, `${address}`, 'the address of one machine');
    if (subnet.contains(address))
      throw invalid(`${at}.address`, `${address}`, `one outside of the overlay's ${subnet}`);
    if (address.family !== nodes[0]?.address.family) {
      throw invalid(`${at}.address`, `${address}`, `one of IPv${nodes[0]?.address.family}, as of the first node`);
    }
    if (mode === 'direct' && address.family !== subnet.family) {
      throw invalid(`${at}.address`, `${address}`, `one of IPv${subnet.family}, as "subnet" in the mode "direct"`);
    }
    if (own.hasHostBits()) throw invalid(`${at}.subnet`, `${own}`, `the prefix itself, ${own.network()}`);
    if (own.family !== subnet.family || own.prefix < subnet.prefix || !subnet.contains(own.ip)) {
      throw invalid(`${at}.subnet`, `${own}`, `a part of "subnet", ${subnet}`);
    }
    if (own.prefix > bits - HOST_BITS) throw invalid(`${at}.subnet`, `${own}`, `at most /${bits - HOST_BITS}`);
    if (nodePrefix !== undefined && own.prefix !== nodePrefix) {
      throw invalid(`${at}.subnet`, `${own}`, `a /${nodePrefix}, as "nodePrefix" says`);
    }
  }
  refuseOverlap(nodes);
}

function refuseTwice(seen: Map<string, number>, value: string, i: number, key: string): void {
  const before = seen.get(value);
  if (before !== undefined) {
    throw invalid(`store.nodes[${i}].${key}`, value, `another than that of store.nodes[${before}]`);
  }
  seen.set(value, i);
}

/**
 * Sorts the prefixes by their first addresses, which are those that they are written with. If any two overlap, two
 * neighbours do.
 */
function refuseOverlap(nodes: readonly OverlayNode[]): void {
  const sorted = [...nodes].sort((one, other) => one.subnet.ip.compare(other.subnet.ip));
  for (const [i, node] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next === undefined || !node.subnet.overlaps(next.subnet)) continue;
    const at = `store.nodes[${nodes.indexOf(next)}].subnet`;
    throw invalid(at, `${next.subnet}`, `no address of ${node.subnet}, which "${node.name}" has`);
  }
}

/** Addresses come from the node's prefix, by host-local. Its keys that set no range are allowed. */
function checkIpam({ ipam }: OverlayConf): void {
  if (ipam === undefined) return;
  if (ipam.type !== 'host-local') throw invalid('ipam.type', ipam.type, 'host-local');
  for (const key of Object.keys(ipam)) {
    if (!RANGE_KEYS.includes(key.toLowerCase())) continue;
    throw new NetloomError(
      'invalid-config',
      `failed to load netconf: "ipam.${key}" is there, expected none: addresses come from the prefix of the node`,
    );
  }
}

const RANGE_KEYS: readonly string[] = ['ranges', 'subnet', 'rangestart', 'rangeend', 'gateway'];

/**
 * The MAC that the runtime asks for: runtimeConfig before args before CNI_ARGS.
 * @throws NetloomError invalid-mac, invalid-args
 */
export function askedMac(call: CniCall<OverlayConf>): Mac | undefined {
  const { runtimeConfig, args } = call.conf;
  return firstMac(['runtimeConfig.mac', runtimeConfig.mac], ['args.cni.mac', args.cni.mac], macInArgs(call));
}
