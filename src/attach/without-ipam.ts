import type { NetConf } from '../cni/call.ts';
import { NetloomError } from '../error.ts';

/**
 * For a type that makes no interface, and so has nothing to put an address on.
 * @throws NetloomError unsupported-field
 */
export function refuseIpam({ ipam, type }: NetConf): void {
  if (ipam === undefined) return;
  throw new NetloomError(
    'unsupported-field',
    `failed to load netconf: "ipam" has the type "${ipam.type}", expected no "ipam": "${type}" makes no interface for an address`,
  );
}
