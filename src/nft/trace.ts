/**
 * The names of nf_tables and connection tracking messages, for the tracer. NFT_MSG_* of linux/netfilter/nf_tables.h,
 * IPCTNL_MSG_CT_* of nfnetlink_conntrack.h.
 */
import type { MessageKind } from '../netlink/message.ts';
import type { TraceNames } from '../netlink/trace.ts';
import { chainKind } from './chain.ts';
import { CT, entryKind } from './ct/entry.ts';
import { elementKind } from './element.ts';
import { NETLINK_NETFILTER, NFT_MSG, nfgenmsg } from './message.ts';
import { ruleKind } from './rule.ts';
import { setKind } from './set.ts';
import { tableKind } from './table.ts';

/** Messages of which only the type matters: the frame of a batch, the ruleset's generation. */
const bareKind = { name: 'nfgenmsg', header: nfgenmsg, attrs: {} } as const satisfies MessageKind;

/** By the noun that ends a message's name: NFT_MSG_NEWSETELEM is an element. */
const KINDS: Readonly<Record<string, MessageKind>> = {
  TABLE: tableKind,
  CHAIN: chainKind,
  RULE: ruleKind,
  SET: setKind,
  SETELEM: elementKind,
  GEN: bareKind,
};

const FRAME: Readonly<Record<number, string>> = { 16: 'NFNL_MSG_BATCH_BEGIN', 17: 'NFNL_MSG_BATCH_END' };

export const nftNames: TraceNames = {
  protocol: NETLINK_NETFILTER,
  messageOf(type) {
    const frame = FRAME[type];
    if (frame !== undefined) return { name: frame, kind: bareKind };
    const entry = nameOf(CT, type);
    if (entry !== undefined) return { name: `IPCTNL_MSG_CT_${entry}`, kind: entryKind };
    const name = nameOf(NFT_MSG, type);
    const kind = name === undefined ? undefined : KINDS[name.slice('NEW'.length)];
    return name === undefined || kind === undefined ? undefined : { name: `NFT_MSG_${name}`, kind };
  },
};

function nameOf(numbers: Readonly<Record<string, number>>, type: number): string | undefined {
  return Object.entries(numbers).find(([, number]) => number === type)?.[0];
}
