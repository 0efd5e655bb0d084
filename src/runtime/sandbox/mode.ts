/** `--network`, in docker's notation: networks with options for each, or a word that stands alone. */
import { NetloomError } from '../../error.ts';
import { Ip } from '../../net/ip.ts';
import { parseMac } from '../../net/mac.ts';
import { parseIfname } from '../ifname.ts';

/** Where a sandbox's network namespace comes from: its own, the host's, or another's. */
export type Mode =
  | { readonly kind: 'own'; readonly networks: readonly NetworkRequest[] }
  | { readonly kind: 'host' }
  | { readonly kind: 'container'; readonly target: string };

export interface NetworkRequest {
  readonly network: string;
  readonly ips: readonly string[];
  readonly mac?: string;
  readonly ifname?: string;
}

/**
 * The mode that results from all `--network` of a command.
 * @throws NetloomError exclusive-network, invalid-network
 */
export function modeOf(given: readonly string[]): Mode {
  const alone = given.find((each) => each === 'host' || each === 'none' || each.startsWith('container:'));
  if (alone === undefined) return { kind: 'own', networks: given.map(requestOf) };
  if (given.length > 1) {
    const others = given.filter((each) => each !== alone).join(', ') || alone;
    throw new NetloomError(
      'exclusive-network',
      `Cannot combine "--network ${alone}" with "--network ${others}": ${REASONS[alone] ?? REASONS['container']}`,
    );
  }
  if (alone === 'none') return { kind: 'own', networks: [] };
  if (alone === 'host') return { kind: 'host' };
  const target = alone.slice('container:'.length);
  if (target === '') throw new NetloomError('invalid-network', '"--network container:" names no container');
  return { kind: 'container', target };
}

const REASONS: Readonly<Record<string, string>> = {
  host: "the namespace is the host's, and another network would be the host's too",
  none: 'it asks for no network at all',
  container: "the namespace is the other container's, and another network would be its too",
};

/** `NET[,ip=ADDRESS][,mac=MAC][,ifname=NAME]`; `ip` once per family. */
function requestOf(text: string): NetworkRequest {
  const [network = '', ...pairs] = text.split(',');
  const ips: string[] = [];
  const more: { mac?: string; ifname?: string } = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const [key, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (key === 'ip') ips.push(`${Ip.parse(value)}`);
    else if (key === 'mac') more.mac = parseMac(value);
    else if (key === 'ifname' || key === 'interface') more.ifname = parseIfname(value);
    else {
      throw new NetloomError(
        'invalid-network',
        `"--network ${text}" has "${pair}", expected ip=ADDRESS, mac=MAC or ifname=NAME`,
      );
    }
  }
  if (network === '') throw new NetloomError('invalid-network', `"--network ${text}" names no network`);
  return { network, ips, ...more };
}
