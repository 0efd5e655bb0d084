/** Making the kernel what it should be for an overlay: a set difference. Where nothing differs, nothing is written. */
import { hasCode } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { deviceDifferences, ensureDevices, type OverlayDevices } from './devices.ts';
import { type Difference, difference, readEntries } from './entries.ts';
import { type Intent, wantedEntries } from './intent.ts';

/** Brings devices, FDB, neighbours and routes to what is wanted. Safe beside others that do the same. */
export function reconcile(nl: NetlinkSocket, intent: Intent): OverlayDevices {
  const devices = ensureDevices(nl, intent);
  const tunnel = devices.tunnel?.index;
  carryOut(nl, difference(readEntries(nl, intent.network, tunnel), wantedEntries(intent, tunnel)));
  return devices;
}

/** What reconcile() would change, in sentences. */
export function overlayDifferences(nl: NetlinkSocket, intent: Intent): string[] {
  const { sentences, tunnel } = deviceDifferences(nl, intent);
  if (tunnel === undefined && intent.network.mode !== 'direct') return sentences;
  const index = tunnel?.index;
  const entries = difference(readEntries(nl, intent.network, index), wantedEntries(intent, index));
  return [...sentences, ...entries.map(({ sentence }) => sentence)];
}

/** Sends it in batches. What is to go and is gone already, or went with something else, is as it should be. */
export function carryOut(nl: NetlinkSocket, differences: readonly Difference[]): void {
  const errors = nl.attempt(differences.map(({ request }) => request));
  for (const [i, error] of errors) {
    const isGone = differences[i]?.isRemoval === true && hasCode(error, 'ENOENT', 'ESRCH', 'ENODEV');
    if (!isGone) throw error;
  }
}
