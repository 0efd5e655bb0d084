/**
 * The keys of the tuning plugin. Names and precedence are the reference's.
 * https://www.cni.dev/plugins/current/meta/tuning/
 */
import * as v from 'valibot';
import { firstMac, macInArgs } from '../../attach/asked-mac.ts';
import type { CniCall } from '../../cni/call.ts';
import { boolean, type ConfOf, confSchema, integer, object, text } from '../../cni/config.ts';
import type { CniIp } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import type { Mac } from '../../net/mac.ts';

/** Longest frame of any link here: lo has 65536. */
const MTU_MAX = 65536;
/**
 * The least MTU for IPv6. On an interface with less the kernel ends IPv6 and removes its addresses. RFC 8200, section
 * 5; addrconf_notify().
 */
const MTU_MIN_IPV6 = 1280;

export const schema = confSchema(() => {
  const settings = {
    // NB: valibot accepts a list as a record.
    sysctl: v.exactOptional(v.pipe(v.custom(isObject, 'an object'), v.record(v.string(), v.string('a string')))),
    mac: v.exactOptional(text),
    mtu: v.exactOptional(integer(0, MTU_MAX)),
    promisc: v.exactOptional(boolean),
    allmulti: v.exactOptional(boolean),
    txQLen: v.exactOptional(integer(0, 2 ** 31 - 1)),
  };
  return {
    ...settings,
    dataDir: v.exactOptional(text),
    runtimeConfig: v.optional(object({ mac: settings.mac }), {}),
    args: v.optional(object({ cni: v.optional(object(settings), {}) }), {}),
  };
});

export type TuningConf = ConfOf<typeof schema>;

/** The settings that an interface should have. What a missing key stands for is left as it is. */
export interface LinkSettings {
  readonly mac?: Mac;
  readonly mtu?: number;
  readonly promisc?: boolean;
  readonly allmulti?: boolean;
  readonly txQLen?: number;
}

/** All that a call asks for, from all its sources. */
export interface Tuning {
  readonly link: LinkSettings;
  /** With the key as it is written. */
  readonly sysctls: readonly (readonly [key: string, value: string])[];
}

/**
 * What the call asks for: args.cni before the configuration, key by key. A MAC: args.cni before runtimeConfig before
 * CNI_ARGS before the configuration. As in the reference, `promisc` has an effect only if it is true, and `mtu` only if
 * it is above 0.
 * @throws NetloomError invalid-mac, invalid-args
 */
export function tuningOf(call: CniCall<TuningConf>): Tuning {
  const own = call.conf;
  const { cni } = own.args;
  const mac = askedMac(call);
  const mtu = cni.mtu ?? own.mtu ?? 0;
  const promisc = cni.promisc ?? own.promisc ?? false;
  const allmulti = cni.allmulti ?? own.allmulti;
  const txQLen = cni.txQLen ?? own.txQLen;
  return {
    link: {
      ...(mac !== undefined && { mac }),
      ...(mtu > 0 && { mtu }),
      ...(promisc && { promisc }),
      ...(allmulti !== undefined && { allmulti }),
      ...(txQLen !== undefined && { txQLen }),
    },
    sysctls: Object.entries({ ...own.sysctl, ...cni.sysctl }),
  };
}

/**
 * @throws NetloomError invalid-config if the interface would lose addresses: the result would have addresses that do
 * not exist, and DEL could not bring them back
 */
export function refuseShortMtu({ conf }: CniCall<TuningConf>, { link: { mtu } }: Tuning, ips: readonly CniIp[]): void {
  const lost = ips.find(({ address }) => address.family === 6);
  if (mtu === undefined || mtu >= MTU_MIN_IPV6 || lost === undefined) return;
  const key = conf.args.cni.mtu === undefined ? 'mtu' : 'args.cni.mtu';
  throw new NetloomError(
    'invalid-config',
    `failed to load netconf: "${key}" is ${mtu}, expected at least ${MTU_MIN_IPV6}: with less the interface loses its IPv6 address ${lost.address}`,
  );
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function askedMac(call: CniCall<TuningConf>): Mac | undefined {
  const { mac, runtimeConfig, args } = call.conf;
  const fromArgs = macInArgs(call); // a wrong one is refused even if another source goes before
  return firstMac(['args.cni.mac', args.cni.mac], ['runtimeConfig.mac', runtimeConfig.mac], fromArgs, ['mac', mac]);
}
