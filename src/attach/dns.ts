/** The DNS of a result. */
import type { NetConf } from '../cni/call.ts';
import type { CniResult } from '../cni/result.ts';

/** The DNS of the configuration, or else that of the IPAM plugin; no key where neither has any. */
export function dnsOf({ dns: own }: Pick<NetConf, 'dns'>, ipam: Pick<CniResult, 'dns'> = {}): Pick<CniResult, 'dns'> {
  const dns = own ?? ipam.dns;
  return dns === undefined ? {} : { dns };
}
