/**
 * Finds the sources that rules of other programs masquerade, whether nft or iptables-nft wrote them. `inspect` shows
 * them.
 */
import { Cidr } from '../net/cidr.ts';
import { FAMILIES, type Family, Ip } from '../net/ip.ts';
import { type AttrTable, list as listCodec } from '../netlink/attribute.ts';
import { be32, str } from '../netlink/codec.ts';
import { type MessageKind, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { NftData } from './data.ts';
import { bitwise } from './expressions/bitwise.ts';
import { cmp } from './expressions/cmp.ts';
import { type Expression, expressionCodec } from './expressions/expression.ts';
import { immediate } from './expressions/immediate.ts';
import { masq } from './expressions/masq.ts';
import { BASE, payload } from './expressions/payload.ts';
import { NFPROTO, NFT_MSG } from './message.ts';
import { ruleAttrs, ruleKind } from './rule.ts';
import { nftCommand } from './text.ts';

/** A target of iptables in a rule. NFTA_TARGET_NAME of linux/netfilter/nf_tables_compat.h. */
const target = { name: [1, str], revision: [2, be32] } as const satisfies AttrTable;

const readKind = {
  ...ruleKind,
  attrs: {
    ...ruleAttrs,
    expressions: [
      ruleAttrs.expressions[0],
      listCodec(1, expressionCodec({ bitwise, cmp, immediate, masq, payload, target })),
    ],
  } satisfies AttrTable,
} as const satisfies MessageKind;

/** Offset and length of the source address in the IP header, in bytes. RFC 791, RFC 8200 */
const SOURCE: Readonly<Record<Family, { readonly offset: number; readonly length: number }>> = {
  4: { offset: 12, length: 4 },
  6: { offset: 8, length: 16 },
};

export interface Masqueraded {
  /** Undefined if the rules name none. */
  readonly source: Cidr | undefined;
  /** `ip nat POSTROUTING` */
  readonly chain: string;
}

interface Rule {
  readonly chain: string;
  readonly source: Cidr | undefined;
  readonly isMasquerade: boolean;
  readonly jumpsTo: string | undefined;
}

/**
 * Every source that a rule masquerades, by itself or by a jump to a chain that does. Our own table is left out: a
 * source is an element there (masquerade.ts).
 * Equivalent to: `nft list ruleset`, read
 */
export function masqueraded(nft: NetlinkSocket): Masqueraded[] {
  const rules = read(nft);
  const direct = new Set(rules.filter(({ isMasquerade }) => isMasquerade).map(({ chain }) => chain));
  const called = new Set(rules.flatMap(({ jumpsTo }) => jumpsTo ?? []));
  return rules
    .filter(({ isMasquerade, source, chain, jumpsTo }) =>
      // If rules jump to this chain, they name the sources.
      isMasquerade ? source !== undefined || !called.has(chain) : jumpsTo !== undefined && direct.has(jumpsTo),
    )
    .map(({ source, chain }) => ({ source, chain }));
}

function read(nft: NetlinkSocket): Rule[] {
  const all = request(
    readKind,
    NFT_MSG.GETRULE,
    0,
    { family: 0 },
    {},
    { action: () => 'list all rules', command: () => nftCommand('list ruleset') },
  );
  return nft.dump(all).flatMap(({ header, attrs: { table = '', chain = '', expressions = [] } }) => {
    const family = Object.entries(NFPROTO).find(([, number]) => number === header.family)?.[0] ?? '?';
    if (family === 'inet' && table === 'netloom') return [];
    const where = `${family} ${table}`;
    const jump = expressions
      .flatMap(({ attrs }) => (attrs['data'] as NftData | undefined)?.verdict?.chain ?? [])
      .at(-1);
    return [
      {
        chain: `${where} ${chain}`,
        source: sourceOf(expressions),
        isMasquerade: expressions.some(
          ({ name, attrs }) => name === 'masq' || (name === 'target' && attrs['name'] === 'MASQUERADE'),
        ),
        jumpsTo: jump === undefined ? undefined : `${where} ${jump}`,
      },
    ];
  });
}

/** `saddr` of a rule: the bytes are loaded, perhaps masked, and compared for equality. */
function sourceOf(expressions: readonly Expression[]): Cidr | undefined {
  for (const [i, { name, attrs }] of expressions.entries()) {
    if (name !== 'payload' || attrs['base'] !== BASE.network) continue;
    const family = FAMILIES.find((each) => attrs['offset'] === SOURCE[each].offset);
    const [next, afterNext] = expressions.slice(i + 1);
    const mask = next?.name === 'bitwise' ? (next.attrs['mask'] as NftData | undefined)?.value : undefined;
    const compared = mask === undefined ? next : afterNext;
    const value = (compared?.attrs['data'] as NftData | undefined)?.value;
    if (family === undefined || compared?.name !== 'cmp' || compared.attrs['op'] !== 0 || value === undefined) continue;
    // A prefix of whole bytes is compared without a mask: only these bytes are loaded.
    const bytes = new Uint8Array(SOURCE[family].length);
    bytes.set(value.subarray(0, bytes.length));
    const prefix = mask === undefined ? Number(attrs['length']) * 8 : ones(mask);
    return new Cidr(Ip.of(bytes), prefix);
  }
  return undefined;
}

function ones(mask: Uint8Array): number {
  return mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
}
