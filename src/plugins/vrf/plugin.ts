/**
 * vrf: puts the container's interface into a VRF, a domain with a routing table of its own, as a chained plugin. The
 * VRF is made by the first interface and goes with the last. https://www.cni.dev/plugins/current/meta/vrf/
 */
import * as v from 'valibot';
import { attachedOf, requireInterface } from '../../attach/chained.ts';
import { type ContainerSide, openContainer, tryOpenContainer } from '../../attach/namespace.ts';
import { backIntoMain, freeTable, intoTable, mainRoutesOf, tableFault } from '../../attach/routes.ts';
import { Differences, verifyPresence } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import { type ConfOf, confSchema, ifname, uint32 } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { hasCode, NetloomError } from '../../error.ts';
import { lock } from '../../ffi/file.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as addr from '../../rtnl/addr.ts';
import * as link from '../../rtnl/link.ts';
import * as route from '../../rtnl/route.ts';
import * as rule from '../../rtnl/rule.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { forget, forgetStale, remember, remembered } from './record.ts';

/** Where the search for a free table begins, as in the reference. */
const FIRST_TABLE = 1;
/** rtm_protocol of the routes that the kernel adds by itself, with the addresses. */
const RTPROT_KERNEL = 2;
/** The alias of a VRF that this plugin has made, and so removes with its last interface. */
const MARK = 'netloom-vrf';

const schema = confSchema(() => ({ vrfname: ifname, table: v.optional(uint32, 0) }));

type VrfConf = ConfOf<typeof schema>;

export const vrf: Plugin<VrfConf> = {
  type: 'vrf',
  about: 'puts the interface of the container into a VRF, in a chain',
  schema,
  add,
  del,
  check,
  gc: forgetStale, // the rest is within the container's namespace
  status,
};

/** @throws NetloomError invalid-config */
function checkConf({ table }: VrfConf): void {
  const fault = tableFault(table);
  if (fault === undefined) return;
  throw new NetloomError('invalid-config', `failed to load netconf: "table" is ${table}, ${fault}`);
}

function add(call: CniCall<VrfConf>): CniResult {
  const { conf } = call;
  checkConf(conf);
  const { result } = attachedOf(call);
  using container = openContainer(call);
  // Two calls at once in one namespace would make two VRFs with the same table. The lock ends with the descriptor.
  lock(container.netns.fd, container.netns.path);
  using undo = new DisposableStack();
  const found = requireFreeInterface(container, call.ifname);
  const domain = findVrf(container.nl, conf) ?? createVrf(container.nl, conf, undo);
  undo.defer(() => forget(call));
  remember(call, container.netns.id);
  enslave(container.nl, found, domain, undo);
  undo.move(); // All of it stands: nothing to undo.
  return result;
}

function requireFreeInterface(container: ContainerSide, ifname: string): link.Link {
  const found = requireInterface(container, ifname, `Cannot put "${ifname}" into a VRF`);
  if (found.master === undefined || found.master === 0) return found;
  const master = link.find(container.nl, { index: found.master })?.name ?? `link ${found.master}`;
  throw new NetloomError('conflict', `interface ${ifname} has already a master set: ${master}`);
}

interface Vrf {
  readonly index: number;
  readonly table: number;
}

/**
 * The VRF, or undefined if it does not exist yet.
 * @throws NetloomError conflict if another kind of link has its name, or if it has another table
 */
function findVrf(nl: NetlinkSocket, { vrfname, table }: VrfConf): Vrf | undefined {
  const found = link.find(nl, { name: vrfname });
  if (found === undefined) return undefined;
  const own = tableOf(found);
  if (own === undefined) throw new NetloomError('conflict', `"${vrfname}" already exists but is not a VRF`);
  if (table !== 0 && own !== table)
    throw new NetloomError('conflict', `VRF ${vrfname} already exist with different routing table ${own}`);
  return { index: found.index, table: own };
}

function tableOf({ attrs: { linkinfo } }: link.Link): number | undefined {
  return linkinfo?.kind === 'vrf' ? (linkinfo.data as { readonly table?: number } | undefined)?.table : undefined;
}

function createVrf(nl: NetlinkSocket, conf: VrfConf, undo: DisposableStack): Vrf {
  const others = link.list(nl).flatMap((each) => tableOf(each) ?? []);
  const table = conf.table !== 0 ? conf.table : freeTable(FIRST_TABLE, route.list(nl), rule.list(nl), others);
  // NB: the namespace is locked and the name was free, so a link that has it then is ours.
  undo.defer(() => nl.attempt([link.remove({ name: conf.vrfname })]));
  // NB: both in one datagram, as in attach/wire.ts, so that a VRF of ours is never without its mark.
  needsVrf(() =>
    nl.executeAll([
      link.add({ name: conf.vrfname, linkinfo: { kind: 'vrf', data: { table } } }, { up: true }),
      link.set({ name: conf.vrfname }, { alias: MARK }),
    ]),
  );
  return { index: link.get(nl, { name: conf.vrfname }).index, table };
}

/** @throws NetloomError unsupported, if the kernel has no VRFs */
function needsVrf(act: () => void): void {
  try {
    act();
  } catch (cause) {
    if (!hasCode(cause, 'EOPNOTSUPP')) throw cause;
    throw new NetloomError('unsupported', 'Cannot make a VRF: this kernel is built without them', {
      hint: 'it needs CONFIG_NET_VRF',
      cause,
    });
  }
}

/**
 * Puts the interface into the VRF, with its routes. The kernel takes it down and up for that (vrf_add_slave()), which
 * removes the routes that were added to it, and its IPv6 addresses unless the interface keeps them.
 */
function enslave(nl: NetlinkSocket, { index }: link.Link, { index: master, table }: Vrf, undo: DisposableStack): void {
  const addresses = addr.list(nl, { link: index, family: 6 }).filter(({ scope }) => scope === route.RT_SCOPE.UNIVERSE);
  const routes = mainRoutesOf(nl, index).filter(({ protocol }) => protocol !== RTPROT_KERNEL);
  undo.defer(() => {
    nl.attempt([link.set({ index }, { master: 0 })]);
    restoreAddresses(nl, index, addresses);
    nl.attempt(backIntoMain(routes));
  });
  nl.execute(link.set({ index }, { master }));
  restoreAddresses(nl, index, addresses);
  nl.executeAll(intoTable(routes, table));
}

function restoreAddresses(nl: NetlinkSocket, index: number, addresses: readonly addr.Address[]): void {
  const now = addr.list(nl, { link: index, family: 6 });
  const lost = addresses.filter(({ address }) => !now.some((each) => each.address.equals(address)));
  nl.attempt(lost.map(({ address }) => addr.add(index, address, { nodad: true })));
}

/**
 * Takes the interface out of the VRF if this attachment has put it in, and removes the VRF with its last interface.
 * Without the namespace nothing is left to do.
 */
function del(call: CniCall<VrfConf>): void {
  using container = tryOpenContainer(call);
  if (container !== undefined) leave(call, container);
  forget(call);
}

function leave(call: CniCall<VrfConf>, { nl, netns }: ContainerSide): void {
  lock(netns.fd, netns.path);
  const domain = link.find(nl, { name: call.conf.vrfname });
  if (domain?.kind !== 'vrf') return;
  const found = link.find(nl, { name: call.ifname });
  // NB: a DEL also follows an ADD that was refused because another attachment has the interface in a VRF.
  const isOwn = remembered(call) === netns.id;
  if (isOwn && found?.master === domain.index) nl.execute(link.set({ index: found.index }, { master: 0 }));
  if (domain.alias !== MARK || link.list(nl).some(({ master }) => master === domain.index)) return;
  nl.execute(link.remove({ index: domain.index }));
}

/** @throws NetloomError check-failed, with every difference */
function check(call: CniCall<VrfConf>): void {
  checkConf(call.conf);
  attachedOf(call);
  using container = openContainer(call);
  const domain = findVrf(container.nl, call.conf);
  const differences = new Differences();
  if (domain === undefined) differences.add(`the VRF "${call.conf.vrfname}" in the container is missing`);
  const found = verifyPresence(container.nl, call.ifname, 'in the container', differences);
  if (domain !== undefined && found !== undefined && found.master !== domain.index)
    differences.add(`"${call.ifname}" in the container is not in the VRF "${call.conf.vrfname}"`);
  differences.throwIfAny();
}

/**
 * Asks the kernel for a VRF with a table that none can have: a kernel without VRFs answers EOPNOTSUPP, any other kernel
 * refuses the table.
 * @throws NetloomError not-available if the kernel has no VRFs
 */
function status(call: CniCall<VrfConf>): void {
  checkConf(call.conf);
  using nl = openRoute();
  const [error] = nl
    .attempt([link.add({ name: call.conf.vrfname, linkinfo: { kind: 'vrf', data: { table: 0 } } })])
    .values();
  if (hasCode(error, 'EOPNOTSUPP'))
    throw new NetloomError('not-available', 'This kernel is built without VRFs (CONFIG_NET_VRF)', { cause: error });
}
