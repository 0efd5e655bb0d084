/** Translations of addresses and ports. nft(8), "NAT STATEMENTS". They end the rule, and the chain. */
import type { Family, Ip } from '../../net/ip.ts';
import { inetService } from '../datatype.ts';
import { registerAt } from '../expressions/expression.ts';
import { loadValue } from '../expressions/immediate.ts';
import { lookupMap } from '../expressions/lookup.ts';
import { masqueradeAs } from '../expressions/masq.ts';
import { translate } from '../expressions/nat.ts';
import { type NatFlag, natFlagsText } from '../expressions/nat-flags.ts';
import { redirectTo } from '../expressions/redir.ts';
import type { Field } from '../field.ts';
import type { NftSet } from '../set.ts';
import type { Statement } from '../statement.ts';

/** The source becomes the address of the outgoing interface. */
export function masquerade(...flags: readonly NatFlag[]): Statement {
  return { text: `masquerade${natFlagsText(flags)}`, needs: [], expressions: [masqueradeAs(flags)] };
}

/** To this host. With a port, the rule must match a transport protocol before it. */
export function redirect(port?: number): Statement {
  if (port === undefined) return { text: 'redirect', needs: [], expressions: [redirectTo()] };
  const register = registerAt(0);
  return {
    text: `redirect to :${port}`,
    needs: [],
    expressions: [loadValue(inetService.encode(port), register), redirectTo(register)],
  };
}

/** `dnat ip to 10.1.0.2:80`. With a port, the rule must match a transport protocol before it. */
export function dnat(ip: Ip, port?: number): Statement {
  return natTo('dnat', ip, port);
}

/** `snat ip to 192.0.2.1`. */
export function snat(ip: Ip, port?: number): Statement {
  return natTo('snat', ip, port);
}

/** `dnat ip to tcp dport map @ports`: the map has addresses, or addresses with ports (then `hasPort`). */
export function dnatMap<K, D>(family: Family, field: Field<K>, map: NftSet<K, D>, hasPort: boolean): Statement {
  return natMap('dnat', family, field, map, hasPort);
}

/** `snat ip to ip saddr map @sources`. */
export function snatMap<K, D>(family: Family, field: Field<K>, map: NftSet<K, D>, hasPort: boolean): Statement {
  return natMap('snat', family, field, map, hasPort);
}

function natTo(type: 'dnat' | 'snat', ip: Ip, port: number | undefined): Statement {
  const host = ip.family === 6 && port !== undefined ? `[${ip}]` : `${ip}`;
  const [address, service] = [registerAt(0), registerAt(16)];
  const hasPort = port !== undefined;
  return {
    text: `${type} ${familyText(ip.family)} to ${host}${hasPort ? `:${port}` : ''}`,
    needs: [],
    expressions: [
      loadValue(ip.bytes, address),
      ...(hasPort ? [loadValue(inetService.encode(port), service)] : []),
      translate(type, ip.family, { addrMin: address, ...(hasPort && { protoMin: service }) }, [], hasPort),
    ],
  };
}

function natMap<K, D>(
  type: 'dnat' | 'snat',
  family: Family,
  field: Field<K>,
  map: NftSet<K, D>,
  hasPort: boolean,
): Statement {
  const address = registerAt(0);
  // The map's data has the same layout in the registers as in the element: the port follows the address.
  const service = registerAt(family === 4 ? 4 : 16);
  return {
    text: `${type} ${familyText(family)} to ${field.text} map @${map.name}`,
    needs: field.needs,
    expressions: [
      ...field.load(0),
      lookupMap(map.name, address, address),
      translate(type, family, { addrMin: address, ...(hasPort && { protoMin: service }) }),
    ],
  };
}

function familyText(family: Family): string {
  return family === 4 ? 'ip' : 'ip6';
}
