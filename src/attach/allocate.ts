import type { CniCall } from '../cni/call.ts';
import type { CniResult } from '../cni/result.ts';
import { hasCode, NetloomError } from '../error.ts';
import { ipamAdd } from '../ipam/delegate.ts';
import { releaseUndone } from './release.ts';

/** Addresses from the IPAM plugin, given back when the ADD fails. Nothing where the network has no IPAM. */
export function allocate(call: CniCall, undo: DisposableStack): CniResult {
  return allocation(call, undo)();
}

/**
 * The same for a plugin that makes its link first: whatever it makes from here on is undone before the addresses are
 * given back.
 */
export function allocation(call: CniCall, undo: DisposableStack): () => CniResult {
  let isTaken = false;
  undo.defer(() => {
    if (isTaken) releaseUndone(call);
  });
  return () => {
    if (call.conf.ipam === undefined) return {};
    try {
      const result = ipamAdd(call);
      isTaken = true;
      if ((result.ips ?? []).length > 0) return result;
    } catch (error) {
      // Where its result cannot be read, the IPAM plugin has given addresses out all the same. Any other failure means
      // that it has not.
      isTaken = hasCode(error, 'invalid-result');
      throw error;
    }
    throw new NetloomError('ipam-failed', 'IPAM plugin returned missing IP config', {
      hint: `"${call.conf.ipam.type}" has given no address: neither its configuration nor the runtime names any`,
    });
  };
}
