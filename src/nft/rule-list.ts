/**
 * Reads rules back. Separate from rule.ts, because it loads the tables of all expressions, which no plugin call needs.
 */
import { type AttrTable, list as listCodec } from '../netlink/attribute.ts';
import { type MessageKind, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { type Chain, chainText } from './chain.ts';
import { expressionTables } from './expressions/all.ts';
import { type Expression, expressionCodec } from './expressions/expression.ts';
import { NFPROTO, NFT_MSG } from './message.ts';
import { ruleAttrs, ruleKind } from './rule.ts';
import { nftCommand } from './text.ts';

const readKind = {
  ...ruleKind,
  attrs: {
    ...ruleAttrs,
    expressions: [ruleAttrs.expressions[0], listCodec(1, expressionCodec(expressionTables))],
  } satisfies AttrTable,
} as const satisfies MessageKind;

export interface RuleState {
  readonly handle: bigint;
  readonly expressions: readonly Expression[];
  readonly comment: string | undefined;
}

/** The rules of a chain, in order. Equivalent to: `nft -a 'list chain inet netloom web'` */
export function list(nft: NetlinkSocket, chain: Chain): RuleState[] {
  const header = { family: NFPROTO[chain.table.family] };
  const wanted = request(
    readKind,
    NFT_MSG.GETRULE,
    0,
    header,
    { table: chain.table.name, chain: chain.name },
    {
      action: () => `list the rules of "${chainText(chain)}"`,
      command: () => nftCommand(`list chain ${chainText(chain)}`),
    },
  );
  return nft.dump(wanted).map(({ attrs: { handle = 0n, expressions = [], userdata: data } }) => ({
    handle,
    expressions,
    comment: data?.comment,
  }));
}
