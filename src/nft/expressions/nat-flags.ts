/** Flags of nat, masq and redir: NF_NAT_RANGE_* of linux/netfilter/nf_nat.h, in nft's words. */
const NAT_FLAGS = { random: 1 << 2, persistent: 1 << 3, 'fully-random': 1 << 4 } as const;
export type NatFlag = keyof typeof NAT_FLAGS;

/** NF_NAT_RANGE_PROTO_SPECIFIED: a port is given. nft sends it along, though the kernel derives it. */
export const PROTO_SPECIFIED = 1 << 1;

export function natFlags(flags: readonly NatFlag[], hasPort: boolean): number {
  return flags.reduce((sum, flag) => sum | NAT_FLAGS[flag], hasPort ? PROTO_SPECIFIED : 0);
}

/** ` random,persistent`, or nothing. */
export function natFlagsText(flags: readonly NatFlag[]): string {
  return flags.length === 0 ? '' : ` ${flags.join(',')}`;
}
