/**
 * Forwarding past a FORWARD chain with the policy drop. In nftables a drop is final, whichever base chain it comes
 * from. So an accept in `inet netloom` does not help if iptables' FORWARD chain drops unknown traffic, as Docker sets
 * it up. A rule in that chain itself does help. It is the same one for every container: it accepts packets with a mark,
 * and the elements in our own table decide which packets get the mark (firewall.ts).
 *
 *   -A FORWARD -m comment --comment "netloom" -j NETLOOM-FORWARD
 *   -A NETLOOM-FORWARD -m comment --comment "rules of the administrator" -j CNI-ADMIN
 *   -A NETLOOM-FORWARD -m mark --mark 0x1000/0x1000 -m comment --comment "allowed by netloom" -j ACCEPT
 *
 * The rules have the form that iptables-nft gives its own, so `iptables -L`, `iptables -S`, `iptables-save` and
 * `iptables-restore` go on working. If there is neither a FORWARD chain nor an administrator's chain, nothing is added.
 */
import type { AttrTable } from '../netlink/attribute.ts';
import { list as listCodec } from '../netlink/attribute.ts';
import { type MessageKind, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as chain from './chain.ts';
import { type NftData, type Verdict, verdictOf } from './data.ts';
import { expressionCodec } from './expressions/expression.ts';
import { immediate } from './expressions/immediate.ts';
import { NFPROTO, NFT_MSG } from './message.ts';
import * as rule from './rule.ts';
import { ruleAttrs, ruleKind } from './rule.ts';
import { comment, markedBit } from './statements/iptables.ts';
import { counter } from './statements/other.ts';
import { verdict } from './statements/verdict.ts';
import * as table from './table.ts';
import { nftCommand } from './text.ts';

/**
 * The mark's bit, next to the one of the reference's portmap (0x2000). A packet has it only while it passes the forward
 * hook.
 */
export const FORWARD_MARK = 0x1000;

const OWN = 'NETLOOM-FORWARD';
const MADE_BY_US = 'made by netloom';
const FAMILY_NAMES = ['ip', 'ip6'] as const;
type IptablesFamily = (typeof FAMILY_NAMES)[number];

/** The requests for missing chains and rules, for the batch that adds an endpoint. */
export function missing(nft: NetlinkSocket, adminChain: string): Request[] {
  return FAMILY_NAMES.flatMap((family) => missingOf(nft, family, adminChain));
}

/**
 * The requests for the bare FORWARD chains of iptables that have no chain of ours yet, for a namespace that plays this
 * one.
 */
export function unaltered(nft: NetlinkSocket): Request[] {
  return FAMILY_NAMES.filter(
    (family) =>
      chain.get(nft, forwardOf(family))?.isBase === true && chain.get(nft, chainOf(family, OWN)) === undefined,
  ).flatMap(bare);
}

/**
 * The requests for the bare FORWARD chains that have a rule of ours, for a namespace that plays this one as it was
 * before.
 */
export function beneath(nft: NetlinkSocket): Request[] {
  return FAMILY_NAMES.filter((family) => chain.get(nft, chainOf(family, OWN)) !== undefined).flatMap(bare);
}

/**
 * The requests that remove our chains and rules, as far as they exist. The administrator's chain stays, unless we made
 * it and it is still empty.
 */
export function present(nft: NetlinkSocket): Request[] {
  return FAMILY_NAMES.flatMap((family) => presentOf(nft, family));
}

function missingOf(nft: NetlinkSocket, family: IptablesFamily, adminChain: string): Request[] {
  const forward = forwardOf(family);
  const [own, admin] = [chainOf(family, OWN), chainOf(family, adminChain)];
  // iptables makes FORWARD when it first needs it, so the administrator's chain can exist without it.
  const isForwarding = chain.get(nft, forward)?.isBase === true;
  if (!isForwarding && chain.get(nft, admin) === undefined) return [];
  const found = chain.get(nft, own);
  const rules = found === undefined ? [] : verdicts(nft, own);
  const isJumpedTo = found !== undefined && found.use > rules.length;
  const hasAdmin = rules.some((each) => targetOf(each.verdict) === adminChain);
  return [
    ...(isForwarding ? [] : [chain.add(forward)]),
    ...(found === undefined ? [chain.create(own)] : []),
    ...(rules.some((each) => each.verdict === 'accept') ? [] : [rule.add(own, acceptMarked())]),
    ...(hasAdmin ? [] : [chain.add(admin), rule.insert(own, jumpTo(adminChain, 'rules of the administrator'))]),
    ...(isJumpedTo ? [] : [rule.insert(forward, jumpTo(OWN, 'netloom'))]),
  ];
}

function presentOf(nft: NetlinkSocket, family: IptablesFamily): Request[] {
  const [forward, own] = [forwardOf(family), chainOf(family, OWN)];
  if (chain.get(nft, own) === undefined) return [];
  const jumps = verdicts(nft, forward).filter((each) => targetOf(each.verdict) === OWN);
  const admins = new Set(verdicts(nft, own).flatMap((each) => targetOf(each.verdict) ?? []));
  return [
    ...jumps.map(({ handle }) => rule.remove(forward, handle)),
    chain.remove(own),
    ...[...admins]
      .filter((name) => isOursAndEmpty(nft, chainOf(family, name)))
      .map((name) => chain.remove(chainOf(family, name))),
  ];
}

/** A chain that we made has our comment. If it is empty, our jump is its only use. */
function isOursAndEmpty(nft: NetlinkSocket, of: chain.Chain): boolean {
  const found = chain.get(nft, of);
  return found?.comment === MADE_BY_US && found.use === 1;
}

function acceptMarked() {
  return [markedBit(FORWARD_MARK), comment('allowed by netloom'), counter(), verdict('accept')];
}

function jumpTo(name: string, why: string) {
  return [comment(why), counter(), verdict({ jump: name })];
}

function bare(family: IptablesFamily): Request[] {
  return [table.add({ family, name: 'filter' }), chain.add(forwardOf(family))];
}

/** FORWARD as iptables makes it. */
function forwardOf(family: IptablesFamily): chain.Chain {
  const base = { type: 'filter', hook: 'forward', priority: chain.PRIORITY.filter } as const;
  return { table: { family, name: 'filter' }, name: 'FORWARD', base };
}

function chainOf(family: IptablesFamily, name: string): chain.Chain {
  return { table: { family, name: 'filter' }, name, comment: MADE_BY_US };
}

function targetOf(of: Verdict | undefined): string | undefined {
  return typeof of === 'object' && 'jump' in of ? of.jump : undefined;
}

/** Rules, read only for the verdict at their end. */
const verdictKind = {
  ...ruleKind,
  attrs: {
    ...ruleAttrs,
    expressions: [ruleAttrs.expressions[0], listCodec(1, expressionCodec({ immediate }))],
  } satisfies AttrTable,
} as const satisfies MessageKind;

function verdicts(nft: NetlinkSocket, of: chain.Chain): { handle: bigint; verdict: Verdict | undefined }[] {
  const wanted = request(
    verdictKind,
    NFT_MSG.GETRULE,
    0,
    { family: NFPROTO[of.table.family] },
    { table: of.table.name, chain: of.name },
    {
      action: () => `list the rules of "${chain.chainText(of)}"`,
      command: () => nftCommand(`list chain ${chain.chainText(of)}`),
    },
  );
  return nft.dump(wanted).map(({ attrs: { handle = 0n, expressions = [] } }) => {
    const last = expressions.at(-1)?.attrs['data'] as NftData | undefined;
    return { handle, verdict: last === undefined ? undefined : verdictOf(last) };
  });
}
