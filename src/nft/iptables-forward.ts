/**
 * The way past a forward policy that drops. A drop is final in nftables whichever base chain it comes from, so no
 * accept in `inet netloom` helps where iptables' FORWARD chain drops what it does not know, as Docker sets it up. What
 * does help is a rule in that chain itself, the same one for every container: it accepts what carries a mark, and who
 * gets the mark is a matter of elements in our own table (firewall.ts).
 *
 *   -A FORWARD -m comment --comment "netloom" -j NETLOOM-FORWARD
 *   -A NETLOOM-FORWARD -m comment --comment "rules of the administrator" -j CNI-ADMIN
 *   -A NETLOOM-FORWARD -m mark --mark 0x1000/0x1000 -m comment --comment "allowed by netloom" -j ACCEPT
 *
 * They are written as iptables-nft writes its own, so `iptables -L`, `iptables -S`, `iptables-save` and
 * `iptables-restore` go on working. Where there is neither a FORWARD chain nor an administrator's, nothing is made.
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

/** The mark's bit, beside the one of port maps (0x2000). It is on a packet only while that passes the forward hook. */
export const FORWARD_MARK = 0x1000;

const OWN = 'NETLOOM-FORWARD';
const MADE_BY_US = 'made by netloom';
const FAMILY_NAMES = ['ip', 'ip6'] as const;
type IptablesFamily = (typeof FAMILY_NAMES)[number];

/** What is missing of it, as requests for the batch that adds an endpoint. */
export function missing(nft: NetlinkSocket, adminChain: string): Request[] {
  return FAMILY_NAMES.flatMap((family) => missingOf(nft, family, adminChain));
}

/**
 * Where iptables forwards, and nothing of ours is in the way yet: the bare chains, as requests for a namespace that
 * plays this one.
 */
export function unaltered(nft: NetlinkSocket): Request[] {
  return FAMILY_NAMES.filter(
    (family) =>
      chain.get(nft, forwardOf(family))?.isBase === true && chain.get(nft, chainOf(family, OWN)) === undefined,
  ).flatMap(bare);
}

/**
 * The bare chains that rules of ours stand in, as requests for a namespace that plays this one from before they did.
 */
export function beneath(nft: NetlinkSocket): Request[] {
  return FAMILY_NAMES.filter((family) => chain.get(nft, chainOf(family, OWN)) !== undefined).flatMap(bare);
}

/**
 * What is there of it, as requests that take it away. The administrator's chain stays, unless we made it and it is
 * still empty.
 */
export function present(nft: NetlinkSocket): Request[] {
  return FAMILY_NAMES.flatMap((family) => presentOf(nft, family));
}

function missingOf(nft: NetlinkSocket, family: IptablesFamily, adminChain: string): Request[] {
  const forward = forwardOf(family);
  const [own, admin] = [chainOf(family, OWN), chainOf(family, adminChain)];
  // iptables makes FORWARD when it is first needed: an administrator's rules alone are none of its.
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

/** A chain that we made has our comment, and our jump as its only use. */
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

/** As iptables makes it. */
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

/** Rules of which only the verdict at their end is read. */
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
