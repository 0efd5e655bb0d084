/**
 * What iptables-nft writes for an option of iptables(8), so that iptables can list a rule of ours.
 * linux/netfilter/xt_mark.h, xt_comment.h.
 */
import { mark } from '../datatype.ts';
import { matchExtension } from '../expressions/match.ts';
import type { Statement } from '../statement.ts';

/** struct xt_mark_mtinfo1 { __u32 mark, mask; __u8 invert; }, aligned to 8 bytes as XT_ALIGN() has it. */
const MARK_BYTES = 16;
/** struct xt_comment_info { char comment[XT_MAX_COMMENT_LEN]; } */
const COMMENT_BYTES = 256;

/**
 * `-m mark --mark 0x1000/0x1000`. NB: this is the extension, not the expressions that nft would write. iptables before
 * 1.8.9 shows a rule made of those as one without any condition.
 */
export function markedBit(bit: number): Statement {
  const info = new Uint8Array(MARK_BYTES);
  info.set(mark.encode(bit), 0);
  info.set(mark.encode(bit), 4);
  return {
    text: `meta mark & ${mark.text(bit)} == ${mark.text(bit)}`,
    needs: [],
    expressions: [matchExtension('mark', 1, info)],
  };
}

/**
 * `-m comment --comment "…"`. nft has no such expression. In its language this is the comment of the rule, which
 * iptables shows in the same way.
 */
export function comment(text: string): Statement {
  const info = new Uint8Array(COMMENT_BYTES);
  info.set(new TextEncoder().encode(text).subarray(0, COMMENT_BYTES - 1));
  return { text: '', comment: text, needs: [], expressions: [matchExtension('comment', 0, info)] };
}
