/** Removes a node's part in a network: its devices, routes and nftables rules go with its last container. */

import { gather } from '../../attach/gather.ts';
import type { CniCall } from '../../cni/call.ts';
import { isInUse, removeDevices } from '../../overlay/devices.ts';
import { withOverlayLock } from '../../overlay/lock.ts';
import { openRoute } from '../../rtnl/socket.ts';
import type { OverlayConf } from './conf.ts';
import { unguard } from './guard.ts';

/**
 * Removes what no container uses. With the store `static` nobody else keeps it: a node without containers has nothing
 * that others would want to reach, and the next container restores all of it in a few milliseconds.
 */
export function leave(call: CniCall<OverlayConf>): void {
  const { name, subnet } = call.conf;
  using nl = openRoute();
  if (isInUse(nl, name)) return;
  withOverlayLock(call.paths, () => {
    if (isInUse(nl, name)) return;
    gather(
      () => removeDevices(nl, { name, subnet }),
      () => unguard(call.conf),
    );
  });
}
