/** The resolver's configuration, resolv.conf(5), as the `dns` of a result. */
import type { CniDns } from '../../cni/result.ts';

/**
 * Reads the keys that CNI has, as the reference does: comments, other keywords and lines without a value are ignored.
 */
export function parseResolvConf(text: string): CniDns {
  const nameservers: string[] = [];
  const search: string[] = [];
  const options: string[] = [];
  let domain: string | undefined;
  for (const line of text.split('\n')) {
    const [keyword = '', value, ...more] = line.trim().split(/\s+/);
    if (value === undefined || /^[#;]/.test(keyword)) continue;
    if (keyword === 'nameserver') nameservers.push(value);
    else if (keyword === 'domain') domain = value;
    else if (keyword === 'search') search.push(value, ...more);
    else if (keyword === 'options') options.push(value, ...more);
  }
  return {
    ...(nameservers.length > 0 && { nameservers }),
    ...(domain !== undefined && { domain }),
    ...(search.length > 0 && { search }),
    ...(options.length > 0 && { options }),
  };
}
