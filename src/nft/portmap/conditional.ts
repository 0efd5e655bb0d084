/**
 * Ports that are published for some connections only (`conditionsV4`, `conditionsV6`). Few networks have any, so the
 * objects for them are added, in front of the others, only with the first such port:
 *
 *   chain portmap4-dnat { jump portmap4-if; … }
 *   chain portmap4-if { ip daddr . meta l4proto . th dport vmap @portmap4-at-if; meta l4proto . th dport vmap @portmap4-if }
 *   map portmap4-if { type inet_proto . inet_service : verdict; elements = { tcp . 80 comment "net/c/eth0" : jump portmap-if-4f1c… } }
 *   chain portmap-if-4f1c… { ip saddr != 192.0.2.0/24 return; accept }      other connections go on without being translated
 */
import { fnv1a } from '../../fnv.ts';
import type { Request } from '../../netlink/message.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as chain from '../chain.ts';
import type { Verdict } from '../data.ts';
import * as element from '../element.ts';
import { concat } from '../field.ts';
import { daddrOf } from '../fields/ip.ts';
import { meta } from '../fields/meta.ts';
import { th } from '../fields/transport.ts';
import { vmap } from '../match.ts';
import { netloomTable } from '../netloom-table.ts';
import * as rule from '../rule.ts';
import * as set from '../set.ts';
import type { Statement } from '../statement.ts';
import { verdict } from '../statements/verdict.ts';
import { type AddressKey, isAny, type Layout, MARK, type PortKey, portOf } from './layout.ts';

/** Matches that must all hold. */
export type Conditions = readonly Statement[];

/** The requests that make ports conditional. @param lacks whether a chain neither exists nor is made in this batch */
export function requests(
  layout: Layout,
  conditions: Conditions,
  keys: readonly AddressKey[],
  comment: string,
  lacks: (wanted: chain.Chain) => boolean,
): Request[] {
  const { fixed, anywhere, at } = objects(layout);
  const target = chainOf(conditions);
  const data: Verdict = { jump: target.name };
  return [
    ...(lacks(fixed) ? fixedRequests(layout) : []),
    ...(lacks(target)
      ? [
          chain.create(target),
          rule.add(target, [...conditions, verdict('return')]),
          rule.add(target, [verdict('accept')]),
        ]
      : []),
    ...element.createAll(
      anywhere,
      keys.filter(([host]) => isAny(host)).map((key) => ({ key: portOf(key), data, comment })),
    ),
    ...element.createAll(
      at,
      keys.filter(([host]) => !isAny(host)).map((key) => ({ key, data, comment })),
    ),
  ];
}

/** The requests that make an owner's ports unconditional again. */
export function removals(nft: NetlinkSocket, layout: Layout, keys: readonly AddressKey[], comment: string): Request[] {
  const { fixed, anywhere, at } = objects(layout);
  if (chain.get(nft, fixed) === undefined) return [];
  const own = keys.filter((key) => find(nft, layout, key)?.comment === comment);
  return [
    ...element.removeAll(anywhere, own.filter(([host]) => isAny(host)).map(portOf)),
    ...element.removeAll(
      at,
      own.filter(([host]) => !isAny(host)),
    ),
  ];
}

/** The requests that remove the objects of conditional ports. NB: send them before the rest, which jumps to these. */
export function dismantle(nft: NetlinkSocket, layout: Layout): Request[] {
  const { fixed, anywhere, at } = objects(layout);
  if (chain.get(nft, fixed) === undefined) return [];
  return [rule.flush(layout.dnat), chain.remove(fixed), set.remove(anywhere), set.remove(at)];
}

/** Whether a port has exactly these conditions; if undefined, whether it has none. */
export function has(nft: NetlinkSocket, layout: Layout, key: AddressKey, conditions: Conditions | undefined): boolean {
  const found = chain.get(nft, objects(layout).fixed) === undefined ? undefined : find(nft, layout, key);
  if (conditions === undefined) return found === undefined;
  return typeof found?.data === 'object' && 'jump' in found.data && found.data.jump === chainOf(conditions).name;
}

function find(nft: NetlinkSocket, layout: Layout, key: AddressKey) {
  const { anywhere, at } = objects(layout);
  return isAny(key[0]) ? element.get(nft, anywhere, portOf(key)) : element.get(nft, at, key);
}

function fixedRequests(layout: Layout): Request[] {
  const { fixed, anywhere, at } = objects(layout);
  const byAddress = concat<AddressKey>(daddrOf(layout.family), meta.l4proto, th.dport);
  return [
    set.create(anywhere),
    set.create(at),
    chain.create(fixed),
    rule.add(fixed, [vmap(byAddress, at)]),
    rule.add(fixed, [vmap(concat<PortKey>(meta.l4proto, th.dport), anywhere)]),
    rule.insert(layout.dnat, [verdict({ jump: fixed.name })]),
  ];
}

function objects({ family, published, at }: Layout) {
  const name = `portmap${family}`;
  const fixed: chain.Chain = { table: netloomTable, name: `${name}-if`, comment: MARK };
  const anywhereIf: set.NftSet<PortKey, Verdict> = {
    table: netloomTable,
    name: `${name}-if`,
    key: published.key,
    data: 'verdict',
    comment: 'not for every connection',
  };
  const atIf: set.NftSet<AddressKey, Verdict> = {
    table: netloomTable,
    name: `${name}-at-if`,
    key: at.key,
    data: 'verdict',
    comment: 'not for every connection',
  };
  return { fixed, anywhere: anywhereIf, at: atIf };
}

/** The chain for conditions, shared by all ports with the same ones. */
function chainOf(conditions: Conditions): chain.Chain {
  const text = conditions.map((each) => each.text).join(' ');
  return { table: netloomTable, name: `portmap-if-${fnv1a(text)}`, comment: 'which connections a port is for' };
}
