/** Routing between interfaces, switched on for the families in use and never off: somebody else may need it too. */

import type { Family } from '../net/ip.ts';
import { ensureSysctl } from '../net/sysctl.ts';

const KEYS: Readonly<Record<Family, string>> = {
  4: 'net/ipv4/ip_forward',
  6: 'net/ipv6/conf/all/forwarding',
};

/** Equivalent to: `sysctl -w net.ipv4.ip_forward=1`, and the like for IPv6 */
export function enableForwarding(families: Iterable<Family>): void {
  for (const family of new Set(families)) ensureSysctl(KEYS[family], '1');
}
