import type { Connected } from '../../runtime/connect.ts';
import { portWords } from '../../runtime/ports.ts';
import { wordsOf } from '../../runtime/target.ts';
import { addressesOf } from '../network/describe.ts';

/** An endpoint for `--json`. */
export function describeConnected({ record, result }: Connected) {
  const { network, target, ifname, ports } = record;
  return {
    network,
    target: wordsOf(target),
    containerId: target.containerId,
    ifname,
    addresses: addressesOf(result),
    ports,
    result,
  };
}

/** `docker:web  eth0 10.90.0.2/24 on web, 8080->80/tcp` */
export function wordsOfConnected({ record, result }: Connected): string {
  const { network, target, ifname, ports } = record;
  const addresses = addressesOf(result).join(' ');
  const published = ports.map((port) => `, ${portWords(port)}`).join('');
  return `${wordsOf(target)}  ${ifname} ${addresses} on ${network}${published}`.replace('  on', ' on');
}
