/**
 * The keys of the bandwidth plugin. Names and bounds are the reference's.
 * https://www.cni.dev/plugins/current/meta/bandwidth/
 */
import * as v from 'valibot';
import { type ConfOf, cidr, confSchema, integer, object } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import type { Cidr } from '../../net/cidr.ts';

/** Go's uint64, as far as a JavaScript number can represent it. */
const size = v.exactOptional(integer(0, 2 ** 64));
/** A burst in bytes must be less than this: the kernel counts it in 32 bits. */
const BURST_MAX = 2 ** 32 - 1;
const BITS = 8;
/**
 * The bursts, in bits, that runtimes pass if nobody has set one: Kubernetes' annotations have only a rate, and the
 * plugin takes no rate without a burst. Those of the kubelet, containerd and CRI-O.
 */
const UNSTATED = [2 ** 31 - 1, 2 ** 32 - 1, (2 ** 32 - 1) * BITS - 1];
/**
 * The burst in this case: the bytes of a tenth of a second, but at least a segment of 64 KiB, as TCP passes them down.
 */
const TENTHS = 10;
const SEGMENT = 65536;

export const schema = confSchema(() => {
  const subnet = v.pipe(
    cidr,
    v.check((value) => !value.hasHostBits(), 'a subnet without host bits, such as "10.1.0.0/16"'),
  );
  const limits = {
    ingressRate: size,
    ingressBurst: size,
    egressRate: size,
    egressBurst: size,
    shapedSubnets: v.exactOptional(v.array(subnet)),
    unshapedSubnets: v.exactOptional(v.array(subnet)),
  };
  return { ...limits, runtimeConfig: v.optional(object({ bandwidth: v.exactOptional(object(limits)) }), {}) };
});

export type BandwidthConf = ConfOf<typeof schema>;

type Limits = Omit<NonNullable<BandwidthConf['runtimeConfig']['bandwidth']>, never>;

export interface Limit {
  /** Bytes a second. */
  readonly rate: bigint;
  /** Bytes that may pass at once. */
  readonly burst: number;
}

export interface Shaping {
  /** For packets to the container. */
  readonly ingress?: Limit;
  /** For packets from it. */
  readonly egress?: Limit;
  /** Which peers the limits apply to: only those in these subnets, or all except those. Missing: all. */
  readonly peers?: { readonly areShaped: boolean; readonly subnets: readonly Cidr[] };
}

/**
 * What is to be limited. If the configuration has any rate or burst, those of runtimeConfig are ignored, as in the
 * reference. Its subnets apply to the limits of runtimeConfig as well, unless that names some: an administrator says
 * for which peers, an annotation how much.
 * @throws NetloomError invalid-config
 */
export function shapingOf(conf: BandwidthConf): Shaping {
  const { ingressRate, ingressBurst, egressRate, egressBurst, runtimeConfig } = conf;
  const isOwn = [ingressRate, ingressBurst, egressRate, egressBurst].some((value) => value !== undefined);
  const asked = { limits: runtimeConfig.bandwidth ?? {}, at: 'runtimeConfig.bandwidth.' };
  const own = { limits: conf, at: '' };
  const rates = isOwn ? own : asked;
  const ingress = limitOf(rates.limits, 'ingress', rates.at, isOwn);
  const egress = limitOf(rates.limits, 'egress', rates.at, isOwn);
  const { limits, at } = isOwn || !namesPeers(asked.limits) ? own : asked;
  const peers = peersOf(limits, at);
  return { ...(ingress && { ingress }), ...(egress && { egress }), ...(peers && { peers }) };
}

function namesPeers({ shapedSubnets, unshapedSubnets }: Limits): boolean {
  return shapedSubnets !== undefined || unshapedSubnets !== undefined;
}

function limitOf(limits: Limits, direction: 'ingress' | 'egress', at: string, isOwn: boolean): Limit | undefined {
  const [rateKey, burstKey] = [`${direction}Rate`, `${direction}Burst`] as const;
  const [rate, burst] = [limits[rateKey] ?? 0, limits[burstKey] ?? 0];
  if (rate === 0 && burst === 0) return undefined;
  if (burst === 0)
    throw invalid(`"${at}${rateKey}" is ${rate} without a "${burstKey}": if rate is set, burst must also be set`);
  if (rate === 0)
    throw invalid(`"${at}${burstKey}" is ${burst} without a "${rateKey}": if burst is set, rate must also be set`);
  if (rate < BITS) throw invalid(`"${at}${rateKey}" is ${rate}, expected at least ${BITS} bits a second`);
  const bytesRate = Math.floor(rate / BITS);
  if (!isOwn && UNSTATED.includes(burst)) return { rate: BigInt(bytesRate), burst: burstOf(bytesRate) };
  const bytes = Math.floor(burst / BITS);
  if (bytes >= BURST_MAX)
    throw invalid(`"${at}${burstKey}" is ${burst}, expected less than 4 GiB: burst cannot be more than 4GB`);
  if (bytes === 0) throw invalid(`"${at}${burstKey}" is ${burst}, expected at least ${BITS} bits`);
  return { rate: BigInt(bytesRate), burst: bytes };
}

function burstOf(rate: number): number {
  return Math.min(Math.max(Math.floor(rate / TENTHS), SEGMENT), BURST_MAX - 1);
}

function peersOf({ shapedSubnets = [], unshapedSubnets = [] }: Limits, at: string): Shaping['peers'] {
  if (shapedSubnets.length > 0 && unshapedSubnets.length > 0)
    throw invalid(
      `"${at}shapedSubnets" and "${at}unshapedSubnets" cannot be both specified, one of them should be discarded`,
    );
  if (shapedSubnets.length > 0) return { areShaped: true, subnets: shapedSubnets };
  return unshapedSubnets.length > 0 ? { areShaped: false, subnets: unshapedSubnets } : undefined;
}

function invalid(what: string): NetloomError {
  return new NetloomError('invalid-config', `failed to load netconf: ${what}`);
}
