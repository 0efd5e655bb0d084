/**
 * An ADD in the agent, which has a thread for overlays. What that thread has read and carried out is not read again,
 * because thousands of nodes take half a second and tens of megabytes. Without an agent, with a network that it does
 * not know, or with something to report about the nodes, the call does everything itself.
 */
import type { CniCall } from '../../cni/call.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { ensureDevices, findDevices, type OverlayDevices } from '../../overlay/devices.ts';
import type { Intent } from '../../overlay/intent.ts';
import { type Carried, type Keeper, keeperOf, printOf } from '../../overlay/keeping.ts';
import { withOverlayLock } from '../../overlay/lock.ts';
import { reconcile } from '../../overlay/reconcile.ts';
import { homeOf } from '../../overlay/underlay.ts';
import { checkConf, type OverlayConf } from './conf.ts';
import { intentOf, type OverlayCall } from './intent.ts';

/** How an ADD gets its devices. */
export interface Course {
  /** Without peers if the agent's thread takes care of them. */
  readonly here: Pick<Intent, 'network' | 'own'> & Partial<Pick<Intent, 'peers'>>;
  /** The devices. Under the lock. */
  devices(): OverlayDevices;
  /** Makes sure that these devices lead to the other nodes. Not under the lock. */
  reach(devices: OverlayDevices): void;
}

/** @returns undefined if there is no keeper to ask */
export function keeperFor(call: CniCall<OverlayConf>): Keeper | undefined {
  const { conf, paths } = call;
  const { network, source } = checkConf(conf);
  if ('nodes' in source) return undefined;
  return keeperOf(conf.name, () => printOf(paths, network, source, conf.mtu));
}

/** What the keeper has carried out, or undefined if an ADD cannot build upon it. */
export function carriedBy(nl: NetlinkSocket, keeper: Keeper | undefined): Carried | undefined {
  const kept = keeper?.look();
  if (kept === undefined || kept === 'pending') return undefined;
  // NB: the node's address may have changed since, and the keeper learns of it only a moment later.
  return homeOf(nl, kept.own) === undefined ? undefined : kept;
}

/** @param reading all nodes @param carried what the keeper has */
export function courseOf(
  nl: NetlinkSocket,
  call: CniCall<OverlayConf>,
  reading: OverlayCall,
  keeper?: Keeper,
  carried?: Carried,
): Course {
  if (carried === undefined) {
    const here = intentOf(nl, reading, true);
    // Read again: peers may have come and gone during the wait for a block of addresses.
    return { here, devices: () => reconcile(nl, intentOf(nl, reading, false, here)), reach: () => {} };
  }
  const { network } = checkConf(call.conf);
  const { own, mtu, devices: known } = carried;
  return {
    here: { network, own },
    devices: () =>
      (known && findDevices(nl, network.name, known)) ?? ensureDevices(nl, { network, own, mtu, peers: [] }),
    reach(devices) {
      if (isSame(known, devices) || isSame(carriedBy(nl, keeper)?.devices, devices)) return;
      withOverlayLock(call.paths, () => reconcile(nl, intentOf(nl, reading, false)));
    },
  };
}

function isSame(known: Carried['devices'], { bridge, tunnel }: OverlayDevices): boolean {
  return known !== undefined && known.bridge === bridge.index && known.tunnel === tunnel?.index;
}
