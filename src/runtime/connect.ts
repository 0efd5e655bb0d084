/** Connecting a running target to a network, and disconnecting it. */
import { hasCode, NetloomError } from '../error.ts';
import { tryOpenNetns } from '../netns/namespace.ts';
import { withNetns } from '../netns/within.ts';
import * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import { AttachmentCache } from './cache.ts';
import { addChain, cachedList, delChain, requirePlugins } from './chain.ts';
import { findNetwork } from './conf-directory.ts';
import type { Conflist, Json } from './conflist.ts';
import type { RuntimeContext } from './context.ts';
import { type EndpointRecord, EndpointStore, netnsOf } from './endpoints.ts';
import { chosenPorts } from './free-port.ts';
import type { Endpoint } from './invoke.ts';
import { exclusively } from './lock.ts';
import { lostEndpoints, removeLostEndpoint } from './lost-endpoints.ts';
import type { PortMapping } from './ports.ts';
import { openTarget, readWords, type Target, type TargetId, wordsOf } from './target.ts';

/** What can be requested for an endpoint; the rest follows from the network. */
export interface Asked {
  readonly ifname?: string | undefined;
  readonly ips: readonly string[];
  readonly mac?: string | undefined;
  readonly ports: readonly PortMapping[];
}

export interface Connected {
  readonly record: EndpointRecord;
  /** The result of the chain. */
  readonly result: Json;
}

/**
 * Connects a target.
 * @throws NetloomError no-network, target-ended, already-connected, ifname-in-use, unsupported-capability, not-heeded,
 * and errors of plugins
 */
export function connect(context: RuntimeContext, network: string, target: Target, asked: Asked): Connected {
  return exclusively(context, () => connectLocked(context, network, target, asked));
}

/** As connect(), for callers that hold the lock. */
export function connectLocked(context: RuntimeContext, network: string, target: Target, asked: Asked): Connected {
  const { list } = findNetwork(context.paths.conf, network);
  const store = new EndpointStore(context);
  const present = interfacesOf(target);
  const known = store.of(target.id.containerId);
  const isReplaced = (old: EndpointRecord) =>
    old.network === network && (asked.ifname ?? old.ifname) === old.ifname && !stands(old, target, present);
  for (const old of known.filter(isReplaced)) remove(context, old);
  const kept = known.filter((old) => !isReplaced(old));
  if (asked.ifname === undefined) refuseSecond(context, network, target, kept, present);
  const record = recordOf(context, network, target, asked, [...present, ...kept.map(({ ifname }) => ifname)]);
  if (present.includes(record.ifname)) {
    throw new NetloomError(
      'ifname-in-use',
      `Cannot add "${record.ifname}": ${target.words} has an interface of that name`,
      {
        hint: `it has ${present.join(', ')}`,
      },
    );
  }
  if (new AttachmentCache(context.paths.cni).tryGet(network, target.id.containerId, record.ifname) !== undefined) {
    // NB: before there is anything to undo, because undoing would remove what the other runtime made.
    throw new NetloomError(
      'duplicate-attachment',
      `Another runtime has connected "${record.ifname}" of ${target.words} to the network "${network}"`,
    );
  }
  requirePlugins(context, list);
  using undo = new DisposableStack();
  undo.defer(() => remove(context, record));
  store.put(record);
  const result = addChain(context, list, endpointOf(list, record));
  target.refuseEnded();
  refuseUnheeded(record, result);
  undo.move();
  return { record, result };
}

/** The input of a plugin call that is only planned. */
export interface Planned {
  readonly list: Conflist;
  readonly endpoint: Endpoint;
}

/** The input with which connect() would call plugins. @throws NetloomError no-network, already-connected */
export function plannedEndpoint(context: RuntimeContext, network: string, target: Target, asked: Asked): Planned {
  const present = interfacesOf(target);
  const known = new EndpointStore(context).of(target.id.containerId);
  if (asked.ifname === undefined) refuseSecond(context, network, target, known, present);
  return planned(context, network, target, asked, [...present, ...known.map(({ ifname }) => ifname)]);
}

/**
 * As plannedEndpoint(), for several networks of a namespace that does not exist yet.
 * @throws NetloomError no-network, already-connected
 */
export function plannedEndpoints(
  context: RuntimeContext,
  id: TargetId,
  path: string,
  requests: readonly (Asked & { readonly network: string })[],
): Planned[] {
  const taken = ['lo'];
  const made = new Map<string, string>();
  return requests.map(({ network, ...asked }) => {
    const first = made.get(network);
    if (first !== undefined && asked.ifname === undefined) throw alreadyConnected(network, id, first, freeName(taken));
    const plan = planned(context, network, { id, netns: { path, id: '' }, process: undefined }, asked, taken);
    taken.push(plan.endpoint.ifname);
    made.set(network, plan.endpoint.ifname);
    return plan;
  });
}

/**
 * Whether an endpoint is in the target's namespace now. When a container is restarted, its endpoints are lost with its
 * old namespace.
 */
function stands({ ifname, netnsId }: EndpointRecord, { netns }: Target, present: readonly string[]): boolean {
  return netnsId === netns.id && present.includes(ifname);
}

/**
 * Refuses a second interface on the same network, unless it is named: repeating a command should not add one. docker
 * refuses it too.
 * @param known the endpoints of the target
 * @param present the interfaces that it has
 * @throws NetloomError already-connected
 */
function refuseSecond(
  context: RuntimeContext,
  network: string,
  target: Target,
  known: readonly EndpointRecord[],
  present: readonly string[],
): void {
  const cache = new AttachmentCache(context.paths.cni);
  const isMeant = (each: EndpointRecord) => each.network === network && stands(each, target, present);
  // Connected under this target's name, by another runtime, or under another target's name: that of a process in the
  // container, or of a container that shares its namespace. NB: the kernel reuses the inode of a namespace that is
  // gone, so netnsOf() looks at its path again.
  const first =
    known.find(isMeant)?.ifname ??
    present.find((ifname) => cache.tryGet(network, target.id.containerId, ifname) !== undefined) ??
    new EndpointStore(context).list().find((each) => isMeant(each) && netnsOf(each) !== '')?.ifname;
  if (first === undefined) return;
  const taken = [...present, ...known.map(({ ifname }) => ifname)];
  throw alreadyConnected(network, target.id, first, freeName(taken));
}

function alreadyConnected(network: string, id: TargetId, ifname: string, other: string): NetloomError {
  return new NetloomError(
    'already-connected',
    `Cannot connect ${wordsOf(id)} to the network "${network}": it is connected to it already, by "${ifname}"`,
    { hint: `for a second interface, name it: --ifname ${other} or --network ${network},ifname=${other}` },
  );
}

function planned(
  context: RuntimeContext,
  network: string,
  place: Place,
  asked: Asked,
  taken: readonly string[],
): Planned {
  const { list } = findNetwork(context.paths.conf, network);
  return { list, endpoint: endpointOf(list, recordOf(context, network, place, asked, taken)) };
}

/** What is recorded about a target. */
type Place = Pick<Target, 'id' | 'process'> & { readonly netns: Pick<Target['netns'], 'path' | 'id'> };

/** @param taken names that the interface cannot have */
function recordOf(
  context: RuntimeContext,
  network: string,
  target: Place,
  asked: Asked,
  taken: readonly string[],
): EndpointRecord {
  return {
    format: 1,
    network,
    ifname: asked.ifname ?? freeName(taken),
    target: target.id,
    netns: target.netns.path,
    netnsId: target.netns.id,
    ...(target.process !== undefined && { process: target.process }),
    ips: [...asked.ips],
    ...(asked.mac !== undefined && { mac: asked.mac }),
    ports: chosenPorts(context, asked.ports),
  };
}

/** An endpoint that was removed. */
export type Disconnected = Pick<EndpointRecord, 'network' | 'ifname' | 'target'>;

/** Selects endpoints of a target. */
export interface Which {
  /** Any network where it is not given. */
  readonly network?: string | undefined;
  readonly ifname?: string | undefined;
}

/**
 * Disconnects a target, which may have ended.
 * @param words as for openTarget()
 * @returns the endpoints removed
 * @throws NetloomError not-connected, ambiguous-target
 */
export function disconnect(context: RuntimeContext, words: string, which: Which): Disconnected[] {
  return exclusively(context, () => {
    const records = named(new EndpointStore(context).list(), words).filter(
      ({ network, ifname }) => (which.network ?? network) === network && (which.ifname ?? ifname) === ifname,
    );
    const [first] = records;
    if (first === undefined) {
      const found = disconnectLost(context, words, which);
      if (found.length > 0) return found;
      const where = [
        which.network !== undefined && `to the network "${which.network}"`,
        which.ifname !== undefined && `by "${which.ifname}"`,
      ];
      throw new NetloomError(
        'not-connected',
        `"${words}" is not connected ${where.filter(Boolean).join(' ')}`.trimEnd(),
        {
          hint: 'netloom disconnects only what "netloom connect" or "netloom run" has connected',
        },
      );
    }
    if (records.some(({ target }) => target.containerId !== first.target.containerId)) {
      throw new NetloomError('ambiguous-target', `"${words}" matches several targets`, {
        hint: `name one: ${[...new Set(records.map(({ target }) => wordsOf(target)))].join(', ')}`,
      });
    }
    for (const record of records) remove(context, record);
    return records;
  });
}

/** Disconnects endpoints whose records are damaged. The target identifies them, so it must be running. */
function disconnectLost(context: RuntimeContext, words: string, which: Which): Disconnected[] {
  const lost = lostEndpoints(context).filter(
    ({ attachment: { network, ifname } }) =>
      (which.network ?? network) === network && (which.ifname ?? ifname) === ifname,
  );
  if (lost.length === 0) return [];
  using target = openTarget(context, words, { shared: true });
  const own = lost.filter(({ attachment }) => attachment.containerId === target.id.containerId);
  for (const each of own) removeLostEndpoint(context, each, target.netns.path);
  return own.map(({ attachment: { network, ifname } }) => ({ network, ifname, target: target.id }));
}

/** The endpoints that the words select; without words, all of them. */
export function endpointsOf(context: RuntimeContext, words: string | undefined): EndpointRecord[] {
  const all = new EndpointStore(context).list();
  return words === undefined ? all : named(all, words);
}

/** Removes an endpoint: first what plugins have made, then its record. NB: where a plugin fails, the record stays. */
export function remove(context: RuntimeContext, record: EndpointRecord): void {
  const { network, ifname, target } = record;
  const cached = new AttachmentCache(context.paths.cni).tryGet(network, target.containerId, ifname);
  const list = cached === undefined ? tryFindList(context, network) : cachedList(cached);
  const netns = netnsOf(record);
  if (list !== undefined) {
    const made = cached ?? endpointOf(list, record);
    delChain(context, list, {
      ...made,
      containerId: target.containerId,
      ifname,
      netns: netns === '' ? '' : made.netns,
    });
  }
  new EndpointStore(context).remove(record);
}

/**
 * The endpoint for plugins. Addresses and the MAC are passed as capabilities where the network declares these;
 * otherwise in CNI_ARGS, the older way.
 */
function endpointOf(list: Conflist, { target, netns, ifname, ips, mac, ports }: EndpointRecord): Endpoint {
  const declared = list.plugins.flatMap(({ capabilities }) => capabilities);
  const args: [string, string][] = [];
  const capabilityArgs: Record<string, unknown> = {};
  const [ip] = ips;
  if (declared.includes('ips') && ips.length > 0) capabilityArgs['ips'] = ips;
  else if (ip !== undefined) args.push(['IP', ip]);
  if (declared.includes('mac') && mac !== undefined) capabilityArgs['mac'] = mac;
  else if (mac !== undefined) args.push(['MAC', mac]);
  if (ports.length > 0) capabilityArgs['portMappings'] = ports;
  return {
    containerId: target.containerId,
    netns,
    ifname,
    args: args.length > 0 ? [['IgnoreUnknown', '1'], ...args] : [],
    capabilityArgs,
  };
}

/** Some plugins ignore requested addresses or MACs. @throws NetloomError not-heeded */
function refuseUnheeded({ network, ifname, ips, mac }: EndpointRecord, result: Json): void {
  const text = JSON.stringify(result).toLowerCase();
  const missing = [
    ...ips.filter((ip) => !text.includes(`"${ip}/`)),
    ...(mac === undefined || text.includes(mac) ? [] : [mac]),
  ];
  if (missing.length === 0) return;
  throw new NetloomError(
    'not-heeded',
    `The network "${network}" did not give "${ifname}" ${missing.join(' and ')}: its plugins ignore what they are asked for`,
  );
}

function interfacesOf({ netns }: Pick<Target, 'netns'>): string[] {
  using nl = withNetns(netns, () => openRoute());
  return link.list(nl).map(({ name }) => name);
}

function freeName(taken: readonly string[]): string {
  for (let i = 0; ; i++) if (!taken.includes(`eth${i}`)) return `eth${i}`;
}

/** Whether an endpoint's interface exists. */
export function isInPlace(record: EndpointRecord): boolean {
  const path = netnsOf(record);
  using netns = path === '' ? undefined : tryOpenNetns(path);
  return netns !== undefined && interfacesOf({ netns }).includes(record.ifname);
}

/**
 * The records that the words select: by kind, if one is given, and by name, whole id, or the beginning of an engine's
 * id.
 */
function named(records: readonly EndpointRecord[], words: string): EndpointRecord[] {
  const { kind, word } = readWords(words);
  const isMeant = (target: TargetId) =>
    (kind ?? target.kind) === target.kind &&
    (target.name === word ||
      target.containerId === word ||
      (word.length >= 3 && /^[0-9a-f]{64}$/.test(target.containerId) && target.containerId.startsWith(word)));
  return records.filter(({ target }) => isMeant(target));
}

function tryFindList(context: RuntimeContext, network: string): Conflist | undefined {
  try {
    return findNetwork(context.paths.conf, network).list;
  } catch (error) {
    if (!hasCode(error, 'no-network')) throw error;
    context.warn(`the network "${network}" is gone: nothing can be asked to take away what it made`);
    return undefined;
  }
}
