/** The bridge itself: made if it is missing, otherwise used as it is. */
import { hasCode, NetloomError } from '../../error.ts';
import { randomBytes } from '../../ffi/random.ts';
import { localMac } from '../../net/mac.ts';
import { readSysctl, writeSysctl } from '../../net/sysctl.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { IFF } from '../../rtnl/constants.ts';
import * as link from '../../rtnl/link.ts';
import { type BridgeConf, filtersVlans } from './conf.ts';

/**
 * The network's bridge, up and with the settings that the configuration needs.
 * @param existing what findBridge() found
 */
export function ensureBridge(
  nl: NetlinkSocket,
  conf: BridgeConf,
  existing: link.Link | undefined,
  undo: DisposableStack,
): link.Link {
  const bridge = existing ?? createBridge(nl, conf, undo);
  ensureFlags(nl, conf, bridge, undo);
  if (filtersVlans(conf) && !isFiltering(bridge)) {
    const filtering = link.set(
      { index: bridge.index },
      { linkinfo: { kind: 'bridge', data: { vlan_filtering: true } } },
    );
    needsFiltering(conf, () => nl.execute(filtering));
    undo.defer(() => {
      nl.attempt([
        link.set({ index: bridge.index }, { linkinfo: { kind: 'bridge', data: { vlan_filtering: false } } }),
      ]);
    });
  }
  return bridge;
}

/**
 * The bridge of that name, or undefined if there is no link of that name.
 * @throws NetloomError not-a-bridge if another kind of link has the name
 */
export function findBridge(nl: NetlinkSocket, name: string): link.Link | undefined {
  const found = link.find(nl, { name });
  if (found !== undefined && found.kind !== 'bridge') {
    throw new NetloomError('not-a-bridge', `"${name}" already exists but is not a bridge`, {
      details: `it is ${found.kind === undefined ? 'a device' : `of the kind ${found.kind}`}`,
      hint: 'choose another name for "bridge", or remove that link',
    });
  }
  return found;
}

/** Whether somebody has set promiscuous mode. NB: not IFLA_PROMISCUITY, which a running tcpdump raises as well. */
export function isPromiscuous({ flags }: link.Link): boolean {
  return (flags & IFF.PROMISC) !== 0;
}

function ensureFlags(nl: NetlinkSocket, conf: BridgeConf, bridge: link.Link, undo: DisposableStack): void {
  const raisesUp = !bridge.isUp;
  const raisesPromisc = conf.promiscMode && !isPromiscuous(bridge);
  if (!raisesUp && !raisesPromisc) return;
  const flags = (value: boolean) => ({ ...(raisesUp && { up: value }), ...(raisesPromisc && { promisc: value }) });
  undo.defer(() => {
    if (!isUsed(nl, bridge)) nl.attempt([link.set({ index: bridge.index }, {}, flags(false))]);
  });
  nl.execute(link.set({ index: bridge.index }, {}, flags(true)));
}

function isFiltering(bridge: link.Link): boolean {
  const info = bridge.attrs.linkinfo;
  return (
    info?.kind === 'bridge' && (info.data as { readonly vlan_filtering?: boolean } | undefined)?.vlan_filtering === true
  );
}

/** @throws NetloomError unsupported, if the kernel cannot filter VLANs and the configuration needs it */
function needsFiltering(conf: BridgeConf, act: () => void): void {
  try {
    act();
  } catch (cause) {
    if (!filtersVlans(conf) || !hasCode(cause, 'EOPNOTSUPP')) throw cause;
    throw new NetloomError(
      'unsupported',
      `Cannot filter VLANs on the bridge "${conf.bridge}": this kernel is built without VLAN filtering of bridges`,
      { hint: 'it needs CONFIG_BRIDGE_VLAN_FILTERING', cause },
    );
  }
}

function createBridge(nl: NetlinkSocket, conf: BridgeConf, undo: DisposableStack): link.Link {
  // A MAC of its own: without one the bridge takes the lowest MAC of its ports, and changes it as ports come and go.
  const own = { name: conf.bridge, mac: localMac(randomBytes(6)) };
  // NB: before the message is sent. If its answer is lost, the bridge may exist all the same.
  undo.defer(() => {
    const found = link.find(nl, { name: own.name });
    if (found?.mac === own.mac && !isUsed(nl, found)) nl.attempt([link.remove({ index: found.index })]);
  });
  try {
    const adding = link.add(
      {
        name: own.name,
        address: own.mac,
        ...(conf.mtu > 0 && { mtu: conf.mtu }),
        linkinfo: { kind: 'bridge', ...(filtersVlans(conf) && { data: { vlan_filtering: true } }) },
      },
      { up: true },
    );
    needsFiltering(conf, () => nl.execute(adding));
  } catch (error) {
    // Another call has made it since we looked.
    const made = hasCode(error, 'EEXIST') ? findBridge(nl, conf.bridge) : undefined;
    if (made === undefined) throw error;
    return made;
  }
  const bridge = link.get(nl, { name: conf.bridge });
  // Only netloom sets the routes of this interface.
  const acceptRa = `net/ipv6/conf/${conf.bridge}/accept_ra`;
  if (readSysctl(acceptRa) !== undefined) writeSysctl(acceptRa, '0');
  return bridge;
}

/**
 * Whether a bridge has ports. If it has, an ADD that is undone must leave what it made for the whole network.
 * @param own the index of a port that does not count, since it is being undone itself
 */
export function isUsed(nl: NetlinkSocket, bridge: link.Link, own?: number): boolean {
  return link.list(nl).some(({ master, index }) => master === bridge.index && index !== own);
}
