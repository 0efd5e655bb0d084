/** The container's port of the bridge: the settings that the message which makes it cannot have. */
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as bridgeVlan from '../../rtnl/bridge-vlan.ts';
import * as link from '../../rtnl/link.ts';
import { type BridgeConf, filtersVlans, vlansOf } from './conf.ts';

/** The VLAN that a new port of a filtering bridge is in, and that its frames without a tag belong to. */
const DEFAULT_VLAN = { first: 1, last: 1 };

/** Sets hairpin mode, isolation and VLANs of a port. They are gone with the port, so there is nothing to undo. */
export function configurePort(nl: NetlinkSocket, index: number, conf: BridgeConf): void {
  const options = { ...(conf.hairpinMode && { hairpin: true }), ...(conf.portIsolation && { isolated: true }) };
  const hasOptions = Object.keys(options).length > 0;
  const dropsDefault = filtersVlans(conf) && !conf.preserveDefaultVlan;
  nl.executeAll([
    ...(hasOptions ? [link.set({ index }, { linkinfo: { slaveKind: 'bridge', slaveData: options } })] : []),
    ...(dropsDefault ? [bridgeVlan.remove(index, [DEFAULT_VLAN])] : []),
    ...(filtersVlans(conf) ? [bridgeVlan.add(index, vlansOf(conf))] : []),
  ]);
}
