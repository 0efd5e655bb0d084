/** Moves routes of one interface from one table to another, for source based routing and for a VRF. */

import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as route from '../rtnl/route.ts';
import type * as rule from '../rtnl/rule.ts';

/** Tables that have a meaning of their own: default, main, local. */
const RESERVED: ReadonlySet<number> = new Set([253, route.RT_TABLE.MAIN, route.RT_TABLE.LOCAL]);

/**
 * The routes of an interface in the main table, on-link routes before those by a gateway, so that they can be added in
 * this order. Routes to link-local addresses are left out: they are of use on every interface, whatever the source.
 */
export function mainRoutesOf(nl: NetlinkSocket, index: number): route.Route[] {
  return inOrder(
    route
      .list(nl)
      .filter((each) => each.table === route.RT_TABLE.MAIN && each.oif === index)
      .filter(({ dst }) => !dst.toString().startsWith('fe80:')),
  );
}

/** On-link routes before those by a gateway. */
export function inOrder(routes: readonly route.Route[]): route.Route[] {
  return [
    ...routes.filter(({ gateway }) => gateway === undefined),
    ...routes.filter(({ gateway }) => gateway !== undefined),
  ];
}

/** Puts routes into another table, beside those of other interfaces to the same destinations. */
export function intoTable(routes: readonly route.Route[], table: number): Request[] {
  return routes.map((each) => route.prepend({ ...each, table }));
}

/** Puts routes back into the main table: before those of other interfaces, as an ADD does. */
export function backIntoMain(routes: readonly route.Route[]): Request[] {
  return intoTable(routes, route.RT_TABLE.MAIN);
}

/** The first table from a number on that no route, rule or VRF uses. */
export function freeTable(
  first: number,
  routes: readonly route.Route[],
  rules: readonly rule.Rule[],
  others: Iterable<number> = [],
): number {
  const taken = new Set([...routes, ...rules].map(({ table }) => table));
  for (const other of others) taken.add(other);
  let table = first;
  while (taken.has(table) || RESERVED.has(table)) table++;
  return table;
}

/** Why a table cannot be one's own; undefined where it can. */
export function tableFault(table: number): string | undefined {
  return RESERVED.has(table) ? 'expected another than 253 to 255, which are default, main and local' : undefined;
}
