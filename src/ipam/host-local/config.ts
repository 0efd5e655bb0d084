/** The keys of host-local. https://www.cni.dev/plugins/current/ipam/host-local/#network-configuration-reference */
import * as v from 'valibot';
import { parseArgs } from '../../cni/args.ts';
import type { CniCall, NetConf } from '../../cni/call.ts';
import { cidr, confSchema, ip, object, parsed, text } from '../../cni/config.ts';
import type { CniRoute } from '../../cni/result.ts';
import { isAtLeast, routeSchema } from '../../cni/versions.ts';
import { NetloomError } from '../../error.ts';
import { Cidr } from '../../net/cidr.ts';
import { Ip } from '../../net/ip.ts';
import { argsSchema } from '../asked.ts';
import { type RangeKeys, type RangeSet, rangeSets } from '../range.ts';

export interface HostLocalConf extends NetConf {
  readonly ipam: Readonly<Record<string, unknown>> & {
    readonly type: string;
    readonly ranges?: readonly (readonly RangeKeys[])[];
    /** This and the next three keys are one range in the old notation. */
    readonly subnet?: Cidr;
    readonly rangeStart?: Ip;
    readonly rangeEnd?: Ip;
    readonly gateway?: Ip;
    readonly routes?: readonly CniRoute[];
    readonly dataDir?: string;
    readonly resolvConf?: string;
  };
  readonly runtimeConfig?: {
    readonly ipRanges?: readonly (readonly RangeKeys[])[];
    readonly ips?: readonly Ip[];
  };
  readonly args?: { readonly cni?: { readonly ips?: readonly Ip[] } };
}

const ASKED = 'an IP address such as "10.1.0.5"';

/** A requested address. Its prefix, if any, is ignored: the range has one. */
const asked = parsed(ASKED, readAsked);

export const hostLocalSchema = confSchema(() => {
  const range = {
    rangeStart: v.exactOptional(ip),
    rangeEnd: v.exactOptional(ip),
    gateway: v.exactOptional(ip),
  };
  const ranges = v.exactOptional(v.array(v.array(object({ ...range, subnet: cidr }))));
  return {
    ipam: object({
      ...range,
      type: v.optional(v.string(), ''),
      ranges,
      subnet: v.exactOptional(cidr),
      routes: v.exactOptional(v.array(routeSchema())),
      dataDir: v.exactOptional(text),
      resolvConf: v.exactOptional(text),
    }),
    runtimeConfig: v.exactOptional(object({ ipRanges: ranges, ips: v.exactOptional(v.array(asked)) })),
    args: v.exactOptional(argsSchema(asked)),
  };
});

/**
 * Of frozen configurations only: an agent's threads keep these (config.ts), and computing the sets is a twentieth of an
 * ADD.
 */
const known = new WeakMap<HostLocalConf, readonly RangeSet[]>();

/**
 * The range sets of a network. NB: their order numbers the `last_reserved_ip` files, so it is that of the reference:
 * the sets of the runtime, the flat one, then `ranges`.
 * @throws NetloomError invalid-config
 */
export function setsOf(conf: HostLocalConf): readonly RangeSet[] {
  const sets = known.get(conf) ?? readSets(conf);
  if (Object.isFrozen(conf)) known.set(conf, sets);
  return sets;
}

function readSets({ cniVersion, ipam, runtimeConfig }: HostLocalConf): readonly RangeSet[] {
  const { subnet, rangeStart, rangeEnd, gateway } = ipam;
  const flat: RangeKeys[][] = [];
  if (subnet !== undefined) {
    flat.push([
      { subnet, ...(rangeStart && { rangeStart }), ...(rangeEnd && { rangeEnd }), ...(gateway && { gateway }) },
    ]);
  }
  const sets = rangeSets([...(runtimeConfig?.ipRanges ?? []), ...flat, ...(ipam.ranges ?? [])], 'ipam.ranges');
  const families = sets.map((set) => set[0]?.start.family);
  if (new Set(families).size < families.length && !isAtLeast(cniVersion, '0.3.0')) {
    throw new NetloomError(
      'invalid-config',
      `CNI version ${cniVersion} does not support more than 1 address per family, but there are ${families.length} range sets`,
    );
  }
  return sets;
}

/** The addresses that the runtime requests, in any of the ways to do so. @throws NetloomError invalid-args */
export function askedOf({ conf, args }: Pick<CniCall<HostLocalConf>, 'conf' | 'args'>): readonly Ip[] {
  const word = parseArgs(args, ['IP']).get('IP');
  const ips = [...(conf.args?.cni?.ips ?? []), ...(conf.runtimeConfig?.ips ?? [])];
  if (word === undefined || word === '') return ips;
  const address = readAsked(word);
  if (address === undefined)
    throw new NetloomError('invalid-args', `ARGS: IP is ${JSON.stringify(word)}, expected ${ASKED}`);
  return [address, ...ips];
}

function readAsked(word: string): Ip | undefined {
  return word.includes('/') ? Cidr.tryParse(word)?.ip : Ip.tryParse(word);
}
