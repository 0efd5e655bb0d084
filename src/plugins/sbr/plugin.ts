/**
 * sbr: source based routing, as a chained plugin behind the one that makes a secondary interface. Packets from the
 * interface's addresses are routed by a table of its own, which has the interface's routes in place of the main table.
 * https://www.cni.dev/plugins/current/meta/sbr/
 */
import * as v from 'valibot';
import { attachedOf, requireInterface } from '../../attach/chained.ts';
import { openContainer, tryOpenContainer } from '../../attach/namespace.ts';
import { backIntoMain, freeTable, inOrder, mainRoutesOf, tableFault } from '../../attach/routes.ts';
import { Differences, verifyPresence } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import { type ConfOf, confSchema, integer } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniIp, CniResult } from '../../cni/result.ts';
import { hasCode, NetloomError } from '../../error.ts';
import { lock } from '../../ffi/file.ts';
import { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as addr from '../../rtnl/addr.ts';
import { RTPROT_NETLOOM } from '../../rtnl/constants.ts';
import * as link from '../../rtnl/link.ts';
import * as route from '../../rtnl/route.ts';
import * as rule from '../../rtnl/rule.ts';
import { requireRoute } from '../../rtnl/socket.ts';

/** Where the search for a free table begins, as in the reference. */
const FIRST_TABLE = 100;

const schema = confSchema(() => ({ table: v.exactOptional(integer(1, 2 ** 32 - 1)) }));

type SbrConf = ConfOf<typeof schema>;

export const sbr: Plugin<SbrConf> = {
  type: 'sbr',
  about: 'source based routing for a secondary interface, in a chain',
  schema,
  add,
  del,
  check,
  gc() {}, // all of it is within the container's namespace
  status(call) {
    checkConf(call.conf);
    requireRoute();
  },
};

/** @throws NetloomError invalid-config */
function checkConf({ table }: SbrConf): void {
  const fault = table === undefined ? undefined : tableFault(table);
  if (fault === undefined) return;
  throw new NetloomError('invalid-config', `failed to load netconf: "table" is ${table}, ${fault}`);
}

function add(call: CniCall<SbrConf>): CniResult {
  checkConf(call.conf);
  const { result, ips } = attachedOf(call);
  if (ips.length === 0)
    throw new NetloomError(
      'invalid-config',
      `failed to load netconf: "prevResult": No IP addresses supplied on interface "${call.ifname}"`,
    );
  using container = openContainer(call);
  // Two calls at once in one namespace would take the same table. The lock ends with the descriptor; the reference
  // locks the same file.
  lock(container.netns.fd, container.netns.path);
  using undo = new DisposableStack();
  const { index } = requireInterface(container, call.ifname, `Cannot route by the source of "${call.ifname}"`);
  moveRoutes(container.nl, index, ips, call.conf.table, undo);
  undo.move(); // All of it stands: nothing to undo.
  return result;
}

/**
 * NB: one datagram, which the kernel processes even if we are killed: whenever that happens, either all of it is done
 * or nothing.
 */
function moveRoutes(
  nl: NetlinkSocket,
  index: number,
  ips: readonly CniIp[],
  asked: number | undefined,
  undo: DisposableStack,
): void {
  const [routes, rules] = [route.list(nl), rule.list(nl)];
  const moved = mainRoutesOf(nl, index);
  const tables = tablesFor(ips, asked, (taken) => freeTable(FIRST_TABLE, routes, rules, taken));
  const added = tables.flatMap((each, i) => routesOf(each, i === 0 ? moved : moved.filter(isFor(each)), index));
  const fresh = added.filter((each) => !routes.some((have) => isSameRoute(have, each)));
  const ours = tables.flatMap(({ table, ips: its }) => its.map(({ address }) => ruleFor(address.ip, table)));
  undo.defer(() =>
    nl.attempt([...backIntoMain(moved), ...ours.map(rule.remove), ...fresh.toReversed().map(route.remove)]),
  );
  nl.executeAll([
    ...added.map((each) => route.replace(each)),
    ...ours.map(rule.add),
    ...moved.toReversed().map((each) => route.remove(each)),
  ]);
}

/** A table with the addresses that are routed by it. */
interface Table {
  readonly table: number;
  readonly ips: CniIp[];
}

/** One table for all addresses if those of a family have the same gateway; one more for each other gateway. */
function tablesFor(
  ips: readonly CniIp[],
  asked: number | undefined,
  next: (taken: readonly number[]) => number,
): Table[] {
  const tables: Table[] = [];
  for (const ip of ips) {
    const fitting = tables.find((each) => asked !== undefined || each.ips.every((other) => hasSameWayOut(ip, other)));
    if (fitting !== undefined) fitting.ips.push(ip);
    else tables.push({ table: asked ?? next(tables.map(({ table }) => table)), ips: [ip] });
  }
  return tables;
}

function hasSameWayOut(one: CniIp, other: CniIp): boolean {
  return one.address.family !== other.address.family || one.gateway?.toString() === other.gateway?.toString();
}

/** Whether a route belongs in a second table, too. A default route by another gateway does not. */
function isFor({ ips }: Table): (moved: route.Route) => boolean {
  return ({ dst, family, gateway }) =>
    ips.some(
      ({ address, gateway: own }) =>
        address.family === family && (dst.prefix > 0 || gateway?.toString() === own?.toString()),
    );
}

/**
 * The routes that move into a table, and default routes by the gateways of its addresses if none moves with them. The
 * protocol of these tells them from routes that have moved.
 */
function routesOf({ table, ips }: Table, moved: readonly route.Route[], oif: number): route.RouteSpec[] {
  const specs: route.RouteSpec[] = moved.map((each) => ({ ...each, table }));
  for (const { address, gateway } of ips) {
    const hasDefault = specs.some(({ dst }) => dst.prefix === 0 && dst.family === address.family);
    if (gateway === undefined || hasDefault) continue;
    specs.push({ dst: Cidr.everything(address.family), gateway, oif, table, protocol: RTPROT_NETLOOM });
  }
  return specs;
}

function isSameRoute(one: route.RouteSpec, other: route.RouteSpec): boolean {
  return (
    one.table === other.table &&
    one.oif === other.oif &&
    one.dst.equals(other.dst) &&
    one.gateway?.toString() === other.gateway?.toString()
  );
}

function ruleFor(ip: Ip, table: number): rule.RuleSpec {
  return { src: Cidr.alone(ip), table, protocol: RTPROT_NETLOOM };
}

/**
 * Removes the rules from the interface's addresses, and moves the routes of their tables back. Without the namespace
 * nothing is left to remove. Without the interface and prevResult, it removes our rules from addresses that no
 * interface has.
 */
function del(call: CniCall<SbrConf>): void {
  using container = tryOpenContainer(call);
  if (container === undefined) return;
  lock(container.netns.fd, container.netns.path);
  const { nl } = container;
  const index = link.find(nl, { name: call.ifname })?.index;
  const routes = route.list(nl);
  const doomed = ownRules(call, nl, index, routes);
  const tables = new Set(doomed.map(({ table }) => table));
  const left = inOrder(routes.filter(({ table, oif }) => index !== undefined && oif === index && tables.has(table)));
  nl.attempt(backIntoMain(left.filter(({ protocol }) => protocol !== RTPROT_NETLOOM)));
  const errors = nl.attempt([...doomed.map(rule.remove), ...left.toReversed().map(route.remove)]);
  for (const error of errors.values()) if (!hasCode(error, 'ENOENT', 'ESRCH')) throw error;
}

/**
 * The rules that this attachment has made: those from its addresses, and our rules from addresses that no interface has
 * any more.
 */
function ownRules(
  call: CniCall<SbrConf>,
  nl: NetlinkSocket,
  index: number | undefined,
  routes: readonly route.Route[],
): rule.Rule[] {
  const given = call.conf.prevResult === undefined ? [] : attachedOf(call).ips.map(({ address }) => `${address.ip}`);
  const addresses = addr.list(nl).map((each) => ({ link: each.link, ip: `${each.address.ip}` }));
  const present = new Set(addresses.map(({ ip }) => ip));
  const own = new Set([...given, ...addresses.filter((each) => each.link === index).map(({ ip }) => ip)]);
  const isOwnTable = (table: number) => {
    const inside = routes.filter((each) => each.table === table);
    return inside.length > 0 && inside.every(({ oif }) => oif === index);
  };
  return rule.list(nl).filter(({ isPlain, src, table, protocol }) => {
    if (!isPlain || !src.equals(Cidr.alone(src.ip)) || tableFault(table) !== undefined) return false;
    const isMarked = protocol === RTPROT_NETLOOM;
    if (own.has(`${src.ip}`)) return isMarked || isOwnTable(table); // the reference does not mark its rules
    return isMarked && !present.has(`${src.ip}`);
  });
}

/** @throws NetloomError check-failed, with every difference */
function check(call: CniCall<SbrConf>): void {
  checkConf(call.conf);
  const { ips } = attachedOf(call);
  using container = openContainer(call);
  const { nl } = container;
  const differences = new Differences();
  const found = verifyPresence(nl, call.ifname, 'in the container', differences);
  if (found !== undefined) differences.add(...differencesOf(nl, found.index, ips, call.conf.table));
  differences.throwIfAny();
}

function differencesOf(nl: NetlinkSocket, index: number, ips: readonly CniIp[], table: number | undefined): string[] {
  const [rules, routes] = [rule.list(nl), route.list(nl)];
  return ips.flatMap(({ address, gateway }) => {
    const { src } = ruleFor(address.ip, 0);
    const its = rules.find((each) => each.isPlain && each.src.equals(src) && each.table === (table ?? each.table));
    if (its === undefined) return [`the rule from ${src}${table === undefined ? '' : ` to table ${table}`} is missing`];
    const own = routes.filter((each) => each.table === its.table && each.oif === index);
    const leadsOut = own.some(({ dst }) => dst.prefix === 0 && dst.family === address.family);
    if (gateway !== undefined && !leadsOut)
      return [`the default route from ${address.ip} in table ${its.table} is missing`];
    return own.some(({ dst }) => dst.family === address.family)
      ? []
      : [`table ${its.table} has no route of "${address}"`];
  });
}
