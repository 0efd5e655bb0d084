/** Rates and times in the kernel's terms. struct tc_ratespec of linux/pkt_sched.h; net/sched/sch_api.c. */
import { u8, u16, u32 } from '../../netlink/codec.ts';

/**
 * Frames count without an extra header. NB: with 0 the kernel would guess the link layer from a table of 256 rates,
 * which tc sends and we do not.
 */
const LINKLAYER_ETHERNET = 1;
const MAX = 0xffffffff;
/**
 * A tick of the scheduler: 64 nanoseconds (PSCHED_SHIFT), on every kernel since 2.6.31. /proc/net/psched says so, too.
 */
const TICK_NS = 64n;
const SECOND_NS = 1_000_000_000n;

/** The fields of a tc_ratespec. Structs that contain it contain it twice, so the second has names of its own. */
export const ratespec = { cellLog: u8, linklayer: u8, overhead: u16, cellAlign: u16, mpu: u16, rate: u32 } as const;
export const secondRatespec = {
  cellLog2: u8,
  linklayer2: u8,
  overhead2: u16,
  cellAlign2: u16,
  mpu2: u16,
  rate2: u32,
} as const;

/** @param rate bytes per second; where 32 bits are too few, a separate attribute holds the full value */
export function rateFields(rate: bigint): { readonly linklayer: number; readonly rate: number } {
  return { linklayer: LINKLAYER_ETHERNET, rate: isWide(rate) ? MAX : Number(rate) };
}

/** Whether a rate needs its 64-bit attribute. */
export function isWide(rate: bigint): boolean {
  return rate >= BigInt(MAX);
}

/** How long `size` bytes take at a rate, in ticks: what the kernel calls a buffer. At most what 32 bits hold, 274 s. */
export function ticksOf(size: number, rate: bigint): number {
  const ticks = (BigInt(size) * SECOND_NS) / rate / TICK_NS;
  return ticks > BigInt(MAX) ? MAX : Number(ticks);
}

/** The inverse of ticksOf(), rounded. */
export function sizeOf(ticks: number, rate: bigint): number {
  return Number((BigInt(ticks) * TICK_NS * rate + SECOND_NS / 2n) / SECOND_NS);
}
