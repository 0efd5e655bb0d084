/** Rules: NFT_MSG_*RULE with NFTA_RULE_*. linux/netfilter/nf_tables.h, nft(8) "RULES". */
import { type AttrTable, list as listCodec } from '../netlink/attribute.ts';
import { be64, str } from '../netlink/codec.ts';
import { type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import { type Chain, chainText } from './chain.ts';
import { expressionCodec } from './expressions/expression.ts';
import { NFPROTO, NFT_MSG, nfgenmsg } from './message.ts';
import { expressionsOf, type Statement } from './statement.ts';
import { commentText, nftCommand } from './text.ts';
import { commentData, userdata } from './userdata.ts';

/** NFTA_RULE_*. Expressions are written here; rule-list.ts, which knows all their tables, reads them. */
export const ruleAttrs = {
  table: [1, str], // NFTA_RULE_TABLE
  chain: [2, str], // NFTA_RULE_CHAIN
  handle: [3, be64], // NFTA_RULE_HANDLE
  expressions: [4, listCodec(1, expressionCodec({}))], // NFTA_RULE_EXPRESSIONS of NFTA_LIST_ELEM
  position: [6, be64], // NFTA_RULE_POSITION
  userdata: [7, userdata(commentData)], // NFTA_RULE_USERDATA
} as const satisfies AttrTable;

export const ruleKind = { name: 'rule', header: nfgenmsg, attrs: ruleAttrs } as const satisfies MessageKind;

export interface RuleOptions {
  readonly comment?: string;
}

/**
 * Adds a rule at the end of a chain. NB: added twice, the rule is there twice. To rule that out, create its chain in
 * the same batch.
 * Equivalent to: `nft 'add rule inet netloom web ip saddr 10.1.0.2 accept'`
 */
export function add(chain: Chain, statements: readonly Statement[], options: RuleOptions = {}): Request {
  return newRule(chain, statements, options, 'add');
}

/**
 * Adds a rule at the start of a chain.
 * Equivalent to: `nft 'insert rule inet netloom web ip saddr 10.1.0.2 accept'`
 */
export function insert(chain: Chain, statements: readonly Statement[], options: RuleOptions = {}): Request {
  return newRule(chain, statements, options, 'insert');
}

/** Deletes one rule. Equivalent to: `nft 'delete rule inet netloom web handle 4'` */
export function remove(chain: Chain, handle: bigint): Request {
  return request(
    ruleKind,
    NFT_MSG.DELRULE,
    0,
    { family: NFPROTO[chain.table.family] },
    { table: chain.table.name, chain: chain.name, handle },
    {
      action: () => `delete the rule ${handle} of the chain "${chainText(chain)}"`,
      command: () => nftCommand(`delete rule ${chainText(chain)} handle ${handle}`),
    },
  );
}

/** Deletes all rules of a chain. Equivalent to: `nft 'flush chain inet netloom web'` */
export function flush(chain: Chain): Request {
  return request(
    ruleKind,
    NFT_MSG.DELRULE,
    0,
    { family: NFPROTO[chain.table.family] },
    { table: chain.table.name, chain: chain.name },
    {
      action: () => `flush the chain "${chainText(chain)}"`,
      command: () => nftCommand(`flush chain ${chainText(chain)}`),
    },
  );
}

function newRule(
  chain: Chain,
  statements: readonly Statement[],
  { comment }: RuleOptions,
  verb: 'add' | 'insert',
): Request {
  const words = statements.flatMap(({ text }) => (text === '' ? [] : [text])).join(' ');
  const text = words + commentText(comment ?? statements.find((each) => each.comment !== undefined)?.comment);
  return request(
    ruleKind,
    NFT_MSG.NEWRULE,
    verb === 'add' ? NLM_F.CREATE | NLM_F.APPEND : NLM_F.CREATE,
    { family: NFPROTO[chain.table.family] },
    {
      table: chain.table.name,
      chain: chain.name,
      expressions: expressionsOf(chain.table.family, statements),
      ...(comment !== undefined && { userdata: { comment } }),
    },
    {
      action: () => `${verb} the rule "${text}" ${verb === 'add' ? 'to' : 'into'} the chain "${chainText(chain)}"`,
      command: () => nftCommand(`${verb} rule ${chainText(chain)} ${text}`),
    },
  );
}
