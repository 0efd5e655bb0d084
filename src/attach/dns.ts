/** The DNS of a result. */
import type { NetConf } from '../cni/call.ts';
import type { CniResult } from '../cni/result.ts';

/** What the configuration says of DNS, or else what the IPAM plugin does; no key where neither says anything. */
export function dnsOf({ dns: own }: Pick<NetConf, 'dns'>, ipam: Pick<CniResult, 'dns'> = {}): Pick<CniResult, 'dns'> {
  const dns = own ?? ipam.dns;
  return dns === undefined ? {} : { dns };
}
