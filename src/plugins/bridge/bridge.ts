/** The bridge itself: made where it is missing, used as it is where it is there. */
import { hasCode, NetloomError } from '../../error.ts';
import { randomBytes } from '../../ffi/random.ts';
import { localMac } from '../../net/mac.ts';
import { readSysctl, writeSysctl } from '../../net/sysctl.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as link from '../../rtnl/link.ts';
import { type BridgeConf, filtersVlans } from './conf.ts';

/**
 * The network's bridge, up and with what the configuration needs of it.
 * @param existing what findBridge() found
 */
export function ensureBridge(
  nl: NetlinkSocket,
  conf: BridgeConf,
  existing: link.Link | undefined,
  undo: DisposableStack,
): link.Link {
  const bridge = existing ?? createBridge(nl, conf, undo);
  const flags = {
    ...(!bridge.isUp && { up: true }),
    ...(conf.promiscMode && (bridge.attrs.promiscuity ?? 0) === 0 && { promisc: true }),
  };
  if (Object.keys(flags).length > 0) nl.execute(link.set({ index: bridge.index }, {}, flags));
  if (filtersVlans(conf) && !isFiltering(bridge)) {
    nl.execute(link.set({ index: bridge.index }, { linkinfo: { kind: 'bridge', data: { vlan_filtering: true } } }));
    undo.defer(() => {
      nl.attempt([
        link.set({ index: bridge.index }, { linkinfo: { kind: 'bridge', data: { vlan_filtering: false } } }),
      ]);
    });
  }
  return bridge;
}

/**
 * The bridge of that name, or undefined where there is no link of that name.
 * @throws NetloomError not-a-bridge where another kind of link has the name
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

function isFiltering(bridge: link.Link): boolean {
  const info = bridge.attrs.linkinfo;
  return (
    info?.kind === 'bridge' && (info.data as { readonly vlan_filtering?: boolean } | undefined)?.vlan_filtering === true
  );
}

function createBridge(nl: NetlinkSocket, conf: BridgeConf, undo: DisposableStack): link.Link {
  try {
    nl.execute(
      link.add(
        {
          name: conf.bridge,
          // A MAC of its own: without one the bridge takes the lowest of its ports', and changes it as they come and go.
          address: localMac(randomBytes(6)),
          ...(conf.mtu > 0 && { mtu: conf.mtu }),
          linkinfo: { kind: 'bridge', ...(filtersVlans(conf) && { data: { vlan_filtering: true } }) },
        },
        { up: true },
      ),
    );
  } catch (error) {
    // Another call made it between our look and our message.
    const made = hasCode(error, 'EEXIST') ? findBridge(nl, conf.bridge) : undefined;
    if (made === undefined) throw error;
    return made;
  }
  const bridge = link.get(nl, { name: conf.bridge });
  undo.defer(() => {
    if (!isUsed(nl, bridge)) nl.attempt([link.remove({ index: bridge.index })]);
  });
  // The routes of this interface are ours to give.
  const acceptRa = `net/ipv6/conf/${conf.bridge}/accept_ra`;
  if (readSysctl(acceptRa) !== undefined) writeSysctl(acceptRa, '0');
  return bridge;
}

/** Whether something is plugged into a bridge: what an ADD made for its network is then not only its own to take back. */
export function isUsed(nl: NetlinkSocket, bridge: link.Link): boolean {
  return link.list(nl).some(({ master }) => master === bridge.index);
}
