/**
 * The keys of the portmap plugin. Names and defaults are the reference's.
 * https://www.cni.dev/plugins/current/meta/portmap/
 */
import * as v from 'valibot';
import { boolean, type ConfOf, confSchema, integer, ip, object, parseConf, text } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import type { Ip } from '../../net/ip.ts';
import { isAny } from '../../nft/portmap/layout.ts';

export const schema = confSchema(() => ({
  snat: v.optional(boolean, true),
  masqAll: v.optional(boolean, false),
  // Both say how packets are marked on the way to an iptables rule that masquerades. Ours needs no mark: it looks at
  // the connection.
  markMasqBit: v.exactOptional(integer(0, 31)),
  externalSetMarkChain: v.exactOptional(text),
  conditionsV4: v.optional(v.array(text), []),
  conditionsV6: v.optional(v.array(text), []),
  // Every back end is served by our nftables table.
  backend: v.exactOptional(text),
  // Kept as it is, and parsed only by ADD and CHECK: if ADD refuses it, the DEL that follows must not refuse it as
  // well.
  runtimeConfig: v.optional(object({ portMappings: v.exactOptional(v.unknown()) }), {}),
}));

export type PortmapConf = ConfOf<typeof schema>;

/** One entry of runtimeConfig.portMappings. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostIP?: Ip;
}

const KEY = 'runtimeConfig.portMappings';

/** Refuses keys that exclude each other. @throws NetloomError invalid-config */
export function checkConf(conf: PortmapConf): void {
  if (conf.markMasqBit !== undefined && conf.externalSetMarkChain !== undefined) {
    throw refusal('Cannot specify externalSetMarkChain and markMasqBit');
  }
}

/** @throws NetloomError invalid-config, with the key and the value */
export function mappingsOf(conf: PortmapConf): PortMapping[] {
  const { portMappings } = conf.runtimeConfig;
  if (portMappings === undefined) return [];
  const mappings = parseConf(mappingSchema(), portMappings, KEY);
  // NB: only mappings of the same port are compared: a thousand mappings are half a million pairs.
  const byPort = new Map<string, number[]>();
  for (const [i, one] of mappings.entries()) {
    const port = `${one.protocol} ${one.hostPort}`;
    const before = byPort.get(port) ?? [];
    const twin = before.find((j) => isSameAddress(one.hostIP, mappings[j]?.hostIP));
    if (twin !== undefined) throw twice(i, twin, one);
    before.push(i);
    byPort.set(port, before);
  }
  return mappings;
}

/** The key of a mapping, for a message about it. */
export function keyOf(mappings: readonly PortMapping[], mapping: PortMapping, key: keyof PortMapping): string {
  return `${KEY}[${mappings.indexOf(mapping)}].${key}`;
}

export function refusal(what: string, hint?: string): NetloomError {
  return new NetloomError('invalid-config', `failed to load netconf: ${what}`, hint === undefined ? {} : { hint });
}

function mappingSchema() {
  const port = integer(1, 65535);
  const expected = '"tcp", "udp" or "sctp"';
  const protocol = v.pipe(
    v.string(expected),
    v.transform((value) => (value === '' ? 'tcp' : value.toLowerCase())),
    v.picklist(['tcp', 'udp', 'sctp'], expected),
  );
  return v.array(
    object({ hostPort: port, containerPort: port, protocol: v.optional(protocol, 'tcp'), hostIP: v.exactOptional(ip) }),
  );
}

/** Whether two mappings of one port conflict. No address and the unspecified one both mean every address. */
function isSameAddress(one: Ip | undefined, other: Ip | undefined): boolean {
  if (one === undefined || other === undefined) return true;
  return one.family === other.family && (isAny(one) || isAny(other) || one.equals(other));
}

function twice(i: number, j: number, { protocol, hostPort, hostIP }: PortMapping): NetloomError {
  const where = hostIP === undefined ? '' : ` of ${hostIP}`;
  return refusal(
    `"${KEY}[${i}].hostPort" is ${hostPort}, and so is that of [${j}]: the ${protocol} port${where} can lead to one place only`,
  );
}
