import type { CniCall } from '../cni/call.ts';
import type { CniResult } from '../cni/result.ts';
import { hasCode, NetloomError } from '../error.ts';
import { ipamAdd, ipamDel } from '../ipam/delegate.ts';

/** Addresses from the IPAM plugin, given back when the ADD fails. Nothing where the network has no IPAM. */
export function allocate(call: CniCall, undo: DisposableStack): CniResult {
  if (call.conf.ipam === undefined) return {};
  const result = add(call, undo);
  undo.defer(() => ipamDel(call));
  if ((result.ips ?? []).length === 0) throw new NetloomError('ipam-failed', 'IPAM plugin returned missing IP config');
  return result;
}

/** A result that cannot be read is one all the same: the other plugin has given addresses out. Any other failure says that it has not. */
function add(call: CniCall, undo: DisposableStack): CniResult {
  try {
    return ipamAdd(call);
  } catch (error) {
    if (hasCode(error, 'invalid-result')) undo.defer(() => ipamDel(call));
    throw error;
  }
}
