/**
 * Whose connections to a published port get the host's address as their source. There is one chain for each subnet and
 * variant. The containers' elements in `portmap4-masq` jump to it, so the kernel itself counts how many need it: the
 * last one removes the chain.
 *
 *   chain portmap-10.1.0.0/24 { ip saddr 10.1.0.0/24 masquerade }    containers of the same subnet, also the container itself: they would
 *                                                                    answer each other directly, without translation
 *   chain portmap-10.1.0.0/24-local { the same; ip saddr 127.0.0.0/8 masquerade }    and the host from its localhost
 *   chain portmap-10.1.0.0/24-all { masquerade }
 *   chain portmap-10.1.0.0/24-none { }
 */
import { Cidr } from '../../net/cidr.ts';
import type { Request } from '../../netlink/message.ts';
import * as chain from '../chain.ts';
import { saddrOf } from '../fields/ip.ts';
import { within } from '../match.ts';
import { netloomTable } from '../netloom-table.ts';
import * as rule from '../rule.ts';
import type { Statement } from '../statement.ts';
import { masquerade } from '../statements/nat.ts';

/** Who is masqueraded. `subnet`: sources in the container's subnet; `none`: nobody; `all`: everybody. */
export type Sources = 'subnet' | 'all' | 'none';

export interface Masquerading {
  /** Host bits do not matter. */
  readonly subnet: Cidr;
  readonly sources: Sources;
  /**
   * Set if connections from the host's localhost come here too, which only IPv4 can do. The text is kept with the
   * chain, such as a setting to restore.
   */
  readonly localhost?: string;
}

const PREFIX = 'portmap-';

/** The chain of a variant. Names in nft cannot have colons. */
export function chainOf({ subnet, sources, localhost }: Masquerading): chain.Chain {
  const network = subnet.network().toString();
  const suffix = `${sources === 'subnet' ? '' : `-${sources}`}${localhost === undefined ? '' : '-local'}`;
  const comment = `who is masqueraded to ${network}${localhost === undefined || localhost === '' ? '' : `; ${localhost}`}`;
  return { table: netloomTable, name: `${PREFIX}${network.replaceAll(':', '_')}${suffix}`, comment };
}

/** A new chain with its rules. */
export function chainRequests(masquerading: Masquerading): Request[] {
  const made = chainOf(masquerading);
  return [chain.create(made), ...rulesOf(masquerading).map((statements) => rule.add(made, statements))];
}

/** The text kept with a chain, out of its comment. */
export function rememberedIn(comment: string | undefined): string {
  const at = comment?.indexOf('; ') ?? -1;
  return at < 0 ? '' : (comment?.slice(at + 2) ?? '');
}

/**
 * Whether a chain is one of these, or one of conditional.ts: they are removed with the last element that jumps to them.
 */
export function isShared({ name, isBase }: chain.ChainState): boolean {
  return !isBase && name.startsWith(PREFIX);
}

/** Whether no element jumps to such a chain any more. The rules count as uses, too. */
export function isUnused({ name, use }: chain.ChainState): boolean {
  return use <= countOf(name);
}

/** How many rules such a chain has. */
function countOf(name: string): number {
  if (name.startsWith(`${PREFIX}if-`)) return 2;
  if (name.includes('-none')) return 0;
  if (name.includes('-all')) return 1;
  return name.endsWith('-local') ? 2 : 1;
}

function rulesOf({ subnet, sources, localhost }: Masquerading): readonly (readonly Statement[])[] {
  if (sources === 'none') return [];
  if (sources === 'all') return [[masquerade()]];
  const saddr = saddrOf(subnet.family);
  const from = (network: Cidr) => [within(saddr, network), masquerade()];
  return [from(subnet), ...(localhost === undefined ? [] : [from(Cidr.parse('127.0.0.0/8'))])];
}
