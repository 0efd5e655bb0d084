/**
 * The IPAM plugin static: the addresses that the configuration or the runtime names. It keeps no state.
 * https://www.cni.dev/plugins/current/ipam/static/
 */
import * as v from 'valibot';
import { parseArgs } from '../../cni/args.ts';
import type { CniCall, NetConf } from '../../cni/call.ts';
import { cidr, confSchema, ip, object } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniDns, CniIp, CniResult, CniRoute } from '../../cni/result.ts';
import { dnsSchema, isAtLeast, routeSchema } from '../../cni/versions.ts';
import { NetloomError } from '../../error.ts';
import { Cidr } from '../../net/cidr.ts';
import { Ip } from '../../net/ip.ts';
import { argsSchema } from '../asked.ts';

export interface StaticConf extends NetConf {
  readonly ipam: Readonly<Record<string, unknown>> & {
    readonly type: string;
    readonly addresses?: readonly { readonly address: Cidr; readonly gateway?: Ip }[];
    readonly routes?: readonly CniRoute[];
    readonly dns?: CniDns;
  };
  readonly runtimeConfig?: { readonly ips?: readonly Cidr[] };
  readonly args?: { readonly cni?: { readonly ips?: readonly Cidr[] } };
}

type Call = CniCall<StaticConf>;

export const staticIpam: Plugin<StaticConf> = {
  type: 'static',
  about: 'gives the addresses that the configuration or the runtime names',
  schema: confSchema(() => ({
    ipam: object({
      type: v.optional(v.string(), ''),
      addresses: v.exactOptional(v.array(object({ address: cidr, gateway: v.exactOptional(ip) }))),
      routes: v.exactOptional(v.array(routeSchema())),
      dns: v.exactOptional(dnsSchema()),
    }),
    runtimeConfig: v.exactOptional(object({ ips: v.exactOptional(v.array(cidr)) })),
    args: v.exactOptional(argsSchema(cidr)),
  })),
  netns: 'any', // it never enters the namespace
  add(call): CniResult {
    const { routes, dns } = call.conf.ipam;
    return { ips: addressesOf(call), ...(routes && { routes }), ...(dns && { dns }) };
  },
  del() {
    // No state is kept, so there is nothing to free.
  },
  check,
  gc() {
    // As for del().
  },
  status(call) {
    addressesOf(call);
  },
};

/**
 * The addresses of runtimeConfig.ips; without them those of args.cni.ips; without these the configured ones together
 * with those of CNI_ARGS.
 */
function addressesOf(call: Call): readonly CniIp[] {
  const { conf } = call;
  const fromArgs = addressesOfArgs(call.args, conf.ipam.addresses ?? []);
  const named = [conf.runtimeConfig?.ips, conf.args?.cni?.ips].find((ips) => ips !== undefined && ips.length > 0);
  const ips = named?.map((address) => ({ address })) ?? fromArgs;
  const families = ips.map(({ address }) => address.family);
  if (new Set(families).size < families.length && !isAtLeast(conf.cniVersion, '0.3.0')) {
    throw new NetloomError(
      'invalid-config',
      `CNI version ${conf.cniVersion} does not support more than 1 address per family, but there are ${ips.map(({ address }) => address).join(', ')}`,
    );
  }
  return ips;
}

/**
 * The configured addresses, and those of `IP=10.1.0.5/24,fd00::5/64`; those without a gateway get the one from
 * `GATEWAY=…` that lies in their subnet.
 */
function addressesOfArgs(args: string, configured: readonly CniIp[]): readonly CniIp[] {
  const words = parseArgs(args, ['IP', 'GATEWAY']);
  const added = listOf(words.get('IP')).map((word) => {
    const address = Cidr.tryParse(word);
    if (address !== undefined) return { address };
    throw new NetloomError(
      'invalid-args',
      `ARGS: invalid CIDR ${JSON.stringify(word)} in IP, expected an address with a prefix such as "10.1.0.5/24"`,
    );
  });
  const gateways = listOf(words.get('GATEWAY')).map((word) => {
    const gateway = Ip.tryParse(word);
    if (gateway !== undefined) return gateway;
    throw new NetloomError(
      'invalid-args',
      `ARGS: invalid gateway address: ${JSON.stringify(word)}, expected an IP address`,
    );
  });
  return [...configured, ...added].map((one: CniIp) => {
    // The last one that fits, as in the reference.
    const gateway = one.gateway ?? gateways.findLast((ip) => one.address.contains(ip));
    return { address: one.address, ...(gateway && { gateway }) };
  });
}

function listOf(words: string | undefined): readonly string[] {
  return words === undefined || words === '' ? [] : words.split(',').map((word) => word.trim());
}

function check(call: Call): void {
  const { prevResult } = call.conf;
  if (prevResult === undefined) throw new NetloomError('invalid-config', 'Required prevResult missing');
  for (const { address, gateway } of addressesOf(call)) {
    const found = prevResult.ips?.find((ip) => ip.address.ip.equals(address.ip));
    const isGateway = gateway === undefined || (found?.gateway?.equals(gateway) ?? false);
    if (found !== undefined && isGateway) continue;
    const state =
      found === undefined
        ? 'it is not in prevResult'
        : `its gateway is ${found.gateway ?? 'missing'}, expected ${gateway}`;
    throw new NetloomError(
      'check-failed',
      `static: Failed to match addr ${address.ip} on interface ${call.ifname}: ${state}`,
    );
  }
}
