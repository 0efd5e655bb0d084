/**
 * An ADD beside the thread of the agent that looks after overlays: what that has read and carried out is not read
 * again, for thousands of nodes are half a second and tens of megabytes. Without an agent, with a network of which it
 * does not know, or with something to say of the nodes, the call sees to everything itself.
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

/** The way in which an ADD comes to its devices. */
export interface Course {
  /** Without peers where others see to those. */
  readonly here: Pick<Intent, 'network' | 'own'> & Partial<Pick<Intent, 'peers'>>;
  /** The devices. Under the lock. */
  devices(): OverlayDevices;
  /** Has everything lead to the other nodes by these devices. Not under the lock. */
  reach(devices: OverlayDevices): void;
}

/** @returns undefined where there is nobody to ask */
export function keeperFor(call: CniCall<OverlayConf>): Keeper | undefined {
  const { conf, paths } = call;
  const { network, source } = checkConf(conf);
  if ('nodes' in source) return undefined;
  return keeperOf(conf.name, () => printOf(paths, network, source, conf.mtu));
}

/** What the keeper has, where an ADD can build upon it. */
export function carriedBy(nl: NetlinkSocket, keeper: Keeper | undefined): Carried | undefined {
  const kept = keeper?.look();
  if (kept === undefined || kept === 'pending') return undefined;
  // NB: the node's address may have become another one since, of which the keeper hears in a moment.
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
    // Read again: while a block of addresses was waited for, peers may have come and gone.
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
