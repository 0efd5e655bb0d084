/**
 * The devices of an overlay on a node: the bridge of its containers, and the tunnel. Their names follow from the
 * network, and both carry its mark. What the kernel can change is changed in place; a tunnel with another VNI, port or
 * address is made anew.
 */
import { gather } from '../attach/gather.ts';
import { isUnknownKind } from '../attach/kind.ts';
import { isAliasOfNetwork } from '../attach/owner.ts';
import { removeIfThere } from '../attach/removal.ts';
import { hasCode, NetloomError } from '../error.ts';
import { libc } from '../ffi/libc.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Mac } from '../net/mac.ts';
import { readSysctl, writeSysctl } from '../net/sysctl.ts';
import type { Attrs } from '../netlink/attribute.ts';
import type { NetlinkError } from '../netlink/error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as addr from '../rtnl/addr.ts';
import { RTPROT_OVERLAY } from '../rtnl/constants.ts';
import type { vxlan } from '../rtnl/kinds/vxlan.ts';
import * as link from '../rtnl/link.ts';
import type { LinkInfo } from '../rtnl/link-info.ts';
import * as route from '../rtnl/route.ts';
import { gatewayOf, type Intent, tunnelAddress } from './intent.ts';
import { bridgeMac, bridgeName, markOf, type OverlayNetwork, tunnelMac, tunnelName } from './network.ts';

export interface OverlayDevices {
  readonly bridge: link.Link;
  /** None in the mode `direct`. */
  readonly tunnel: link.Link | undefined;
}

/** A device as it should be. */
interface Plan {
  readonly name: string;
  readonly alias: string;
  readonly address: Mac;
  readonly mtu: number;
  readonly master?: number;
  readonly linkinfo: LinkInfo;
  /** All its addresses of global scope. Others are removed. */
  readonly addresses: readonly Cidr[];
}

/** The link group for removals, which nobody uses for anything else, see links.ts. */
const DOOMED_GROUP = 0x6e6e0000;

/**
 * Makes or changes the devices that an intent needs. In the mode `direct` it removes a former tunnel.
 * @throws NetloomError unsupported where this kernel lacks a kind; conflict where another link has the name, or another
 * tunnel the VNI and the port
 */
export function ensureDevices(nl: NetlinkSocket, intent: Intent): OverlayDevices {
  const { network } = intent;
  const bridge = ensure(nl, bridgePlan(intent));
  if (network.mode !== 'direct') return { bridge, tunnel: ensure(nl, tunnelPlan(intent, bridge.index)) };
  const former = findOwn(nl, tunnelName(network.name), network.name);
  if (former !== undefined) removeIfThere(nl, { index: former.index });
  return { bridge, tunnel: undefined };
}

/** The differences as sentences, and the tunnel where there is one. For CHECK. */
export function deviceDifferences(
  nl: NetlinkSocket,
  intent: Intent,
): { readonly sentences: string[]; readonly tunnel: link.Link | undefined } {
  const bridge = link.find(nl, { name: bridgeName(intent.network.name) });
  const sentences = planDifferences(nl, bridge, bridgePlan(intent));
  if (intent.network.mode === 'direct') return { sentences, tunnel: undefined };
  const tunnel = link.find(nl, { name: tunnelName(intent.network.name) });
  sentences.push(...planDifferences(nl, tunnel, tunnelPlan(intent, bridge?.index ?? 0)));
  return { sentences, tunnel };
}

/**
 * Whether containers are attached, to the bridge or by routed wires of their own. Such wires keep the overlay in use
 * even where somebody has removed the bridge.
 */
export function isInUse(nl: NetlinkSocket, network: string): boolean {
  const bridge = findOwn(nl, bridgeName(network), network);
  return link
    .list(nl)
    .some(({ master, name, alias }) =>
      master === undefined
        ? isAliasOfNetwork(alias, network)
        : master === bridge?.index && name !== tunnelName(network),
    );
}

/**
 * Whether the bridge exists, and the tunnel still has its index.
 * @param tunnel the index; undefined where there should be no tunnel
 */
export function hasDevices(nl: NetlinkSocket, network: string, tunnel: number | undefined): boolean {
  const isThere = findOwn(nl, bridgeName(network), network) !== undefined;
  return isThere && (tunnel === undefined || findOwn(nl, tunnelName(network), network)?.index === tunnel);
}

/** The devices, where they still have these indices. */
export function findDevices(
  nl: NetlinkSocket,
  network: string,
  { bridge, tunnel }: { readonly bridge: number; readonly tunnel?: number },
): OverlayDevices | undefined {
  const found = findOwn(nl, bridgeName(network), network);
  if (found?.index !== bridge) return undefined;
  if (tunnel === undefined) return { bridge: found, tunnel: undefined };
  const other = findOwn(nl, tunnelName(network), network);
  return other?.index === tunnel ? { bridge: found, tunnel: other } : undefined;
}

/** Removes both devices and the routes to other nodes. What is already gone is no error. */
export function removeDevices(nl: NetlinkSocket, { name, subnet }: Pick<OverlayNetwork, 'name' | 'subnet'>): void {
  const routes = route
    .list(nl, subnet.family, { protocol: RTPROT_OVERLAY })
    .filter(({ dst }) => subnet.contains(dst.ip));
  const own = [tunnelName(name), bridgeName(name)].flatMap((each) => findOwn(nl, each, name) ?? []);
  gather(
    () => {
      for (const error of nl.attempt(routes.map((each) => route.remove(each))).values()) {
        if (!hasCode(error, 'ESRCH')) throw error;
      }
    },
    () => {
      // One removal for the whole group: removed one by one, each link would wait 16 ms for the kernel.
      const group = DOOMED_GROUP | (libc.getpid() & 0xffff);
      const errors = nl.attempt(own.map(({ index }) => link.set({ index }, { group })));
      for (const error of errors.values()) if (!hasCode(error, 'ENODEV')) throw error;
      if (errors.size < own.length) removeIfThere(nl, { group });
    },
  );
}

function bridgePlan(intent: Intent): Plan {
  const { network, own, mtu } = intent;
  return {
    name: bridgeName(network.name),
    alias: markOf(network.name),
    address: bridgeMac(network.name, own.name),
    mtu,
    linkinfo: { kind: 'bridge' },
    addresses: [gatewayOf(intent)],
  };
}

/**
 * In the mode `l3` every station is known beforehand, and nothing is learned. In the mode `l2` nobody announces where
 * each container is, so the tunnel learns from the frames it receives. What it has learned never turns out wrong: the
 * MAC of a container follows from its address, and the address belongs to its node.
 */
function tunnelPlan({ network, own, mtu }: Intent, bridge: number): Plan {
  const source = own.address.family === 4 ? { local: own.address } : { local6: own.address };
  const data = { id: network.vni, ...source, learning: network.mode === 'l2', dstport: network.port };
  return {
    name: tunnelName(network.name),
    alias: markOf(network.name),
    address: tunnelMac(network.name, own.name),
    mtu,
    ...(network.mode === 'l2' && { master: bridge }),
    linkinfo: { kind: 'vxlan', data },
    addresses: network.mode === 'l3' ? [tunnelAddress(own)] : [],
  };
}

function ensure(nl: NetlinkSocket, plan: Plan): link.Link {
  let found = link.find(nl, { name: plan.name });
  if (found !== undefined && !isSameKind(found, plan)) {
    if (found.alias !== plan.alias) throw foreign(found);
    removeIfThere(nl, { index: found.index });
    found = undefined;
  }
  if (found === undefined) make(nl, plan);
  const device = found ?? link.get(nl, { name: plan.name });
  const changes = changesOf(device, plan);
  const isChanged = Object.keys(changes).length > 0 || !device.isUp;
  if (isChanged) nl.execute(link.set({ index: device.index }, changes, { up: true }));
  const isReaddressed = ensureAddresses(nl, device, plan.addresses);
  return isChanged || isReaddressed ? link.get(nl, { index: device.index }) : device;
}

/**
 * NB: the mark goes in the same datagram, see wire.ts. Where two calls create the device at once, the second finds the
 * first one's.
 */
function make(nl: NetlinkSocket, { name, alias, address, mtu, master, linkinfo }: Plan): void {
  const attrs = { name, address, mtu, ...(master !== undefined && { master }), linkinfo };
  const error = nl.attempt([link.add(attrs, { up: true }), link.set({ name }, { alias })]).get(0);
  if (error !== undefined && (error.code !== 'EEXIST' || link.find(nl, { name }) === undefined)) {
    throw explained(error, name, linkinfo);
  }
  const acceptRa = `net/ipv6/conf/${name}/accept_ra`;
  // Only we add routes to this interface.
  if (readSysctl(acceptRa) !== undefined) writeSysctl(acceptRa, '0');
}

function explained(error: NetlinkError, name: string, { kind, data }: LinkInfo): NetloomError {
  if (isUnknownKind(error)) {
    return new NetloomError('unsupported', `Cannot create the ${kind} link "${name}": this kernel has no ${kind}`, {
      hint: `it needs CONFIG_${kind?.toUpperCase()}`,
      cause: error,
    });
  }
  if (error.code === 'EEXIST' && kind === 'vxlan') {
    const { id, dstport } = data as Attrs<typeof vxlan>;
    return new NetloomError(
      'conflict',
      `Cannot create the tunnel "${name}": another one on this machine has the VNI ${id} and the port ${dstport}`,
      { hint: 'give the network another "vni" on all nodes', cause: error },
    );
  }
  return error;
}

function foreign({ name, alias, kind }: link.Link): NetloomError {
  return new NetloomError(
    'conflict',
    `Cannot use the link "${name}" for the overlay: it is ${kind ?? 'a device'} with ${alias === undefined ? 'no mark' : `the mark "${alias}"`}`,
    { hint: 'remove that link' },
  );
}

/** Whether a link has the planned kind, and all planned settings that cannot be changed later. */
function isSameKind(found: link.Link, { linkinfo }: Plan): boolean {
  if (found.kind !== linkinfo.kind) return false;
  const have = (found.attrs.linkinfo?.data ?? {}) as Readonly<Record<string, unknown>>;
  return Object.entries(linkinfo.data ?? {}).every(([key, value]) => `${have[key]}` === `${value}`);
}

function changesOf(found: link.Link, plan: Plan): link.LinkAttrs {
  return {
    ...(found.mac !== plan.address && { address: plan.address }),
    ...(found.mtu !== plan.mtu && { mtu: plan.mtu }),
    ...(found.alias !== plan.alias && { alias: plan.alias }),
    ...((found.master ?? 0) !== (plan.master ?? 0) && { master: plan.master ?? 0 }),
  };
}

/** @returns whether something was changed */
function ensureAddresses(nl: NetlinkSocket, { index }: link.Link, wanted: readonly Cidr[]): boolean {
  const have = globalAddresses(nl, index);
  const missing = wanted.filter((each) => !have.some((other) => other.equals(each)));
  const extra = have.filter((each) => !wanted.some((other) => other.equals(each)));
  const requests = [
    ...extra.map((each) => addr.remove(index, each)),
    ...missing.map((each) => addr.add(index, each, { nodad: true })),
  ];
  for (const error of nl.attempt(requests).values()) {
    if (!hasCode(error, 'EEXIST', 'EADDRNOTAVAIL')) throw error; // another call has done the same
  }
  return requests.length > 0;
}

function globalAddresses(nl: NetlinkSocket, index: number): Cidr[] {
  return addr
    .list(nl, { link: index })
    .filter(({ scope }) => scope === 0)
    .map(({ address }) => address);
}

function planDifferences(nl: NetlinkSocket, found: link.Link | undefined, plan: Plan): string[] {
  if (found === undefined) return [`the link "${plan.name}" of the overlay is missing`];
  if (!isSameKind(found, plan)) return [`"${plan.name}" is another ${found.kind ?? 'device'} than configured`];
  const have = globalAddresses(nl, found.index);
  return [
    ...(found.isUp ? [] : [`"${plan.name}" is down`]),
    ...Object.entries(changesOf(found, plan)).map(
      ([key, value]) => `"${plan.name}" has another ${key}, expected ${value}`,
    ),
    ...plan.addresses
      .filter((each) => !have.some((other) => other.equals(each)))
      .map((each) => `"${plan.name}" lacks the address ${each}`),
  ];
}

/** A device of that name with the mark of the network. */
function findOwn(nl: NetlinkSocket, name: string, network: string): link.Link | undefined {
  const found = link.find(nl, { name });
  return found?.alias === markOf(network) ? found : undefined;
}
