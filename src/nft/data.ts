/**
 * What a register or an element holds: bytes, or a verdict. NFTA_DATA_* and NFTA_VERDICT_* of
 * linux/netfilter/nf_tables.h.
 */
import { type Attrs, type AttrTable, nest } from '../netlink/attribute.ts';
import { be32, bytes, type Codec, str } from '../netlink/codec.ts';

const code: Codec<number> = { ...be32, name: 'verdict', read: (view) => view.getInt32(0) };

/** NFTA_VERDICT_*. */
const verdict = {
  code: [1, code], // NFTA_VERDICT_CODE
  chain: [2, str], // NFTA_VERDICT_CHAIN
} as const satisfies AttrTable;

/** NFTA_DATA_*: one of the two. */
const dataTable = {
  value: [1, bytes], // NFTA_DATA_VALUE
  verdict: [2, nest(verdict)], // NFTA_DATA_VERDICT
} as const satisfies AttrTable;

export type NftData = Attrs<typeof dataTable>;

export const data: Codec<NftData> = nest(dataTable);

/** NF_DROP, NF_ACCEPT and NFT_CONTINUE to NFT_RETURN. */
const CODES = { drop: 0, accept: 1, continue: -1, break: -2, jump: -3, goto: -4, return: -5 } as const;

/** What happens to a packet: `accept`, or `{ jump: 'chain' }`. */
export type Verdict = 'accept' | 'drop' | 'continue' | 'return' | { readonly jump: string } | { readonly goto: string };

export function verdictData(verdict: Verdict): NftData {
  if (typeof verdict === 'string') return { verdict: { code: CODES[verdict] } };
  return 'jump' in verdict
    ? { verdict: { code: CODES.jump, chain: verdict.jump } }
    : { verdict: { code: CODES.goto, chain: verdict.goto } };
}

/** The verdict in data from the kernel, or undefined if there is none that we know. */
export function verdictOf(value: NftData): Verdict | undefined {
  const { code: number, chain = '' } = value.verdict ?? {};
  if (number === CODES.jump) return { jump: chain };
  if (number === CODES.goto) return { goto: chain };
  return (['accept', 'drop', 'continue', 'return'] as const).find((name) => CODES[name] === number);
}

export function verdictText(verdict: Verdict): string {
  if (typeof verdict === 'string') return verdict;
  return 'jump' in verdict ? `jump ${verdict.jump}` : `goto ${verdict.goto}`;
}
