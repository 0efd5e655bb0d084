/** After a crash or a boot: removes what is no longer needed, and restores what was requested and is missing. */
import { begin } from '../activity.ts';
import { type AttachmentRecord, liveRecords } from '../attach/record.ts';
import type { Attachment } from '../cni/call.ts';
import { messageOf, NetloomError } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { unlink } from '../ffi/file.ts';
import { tryOpenNetns } from '../netns/namespace.ts';
import { AttachmentCache } from './cache.ts';
import { cachedList, checkChain, gcChain } from './chain.ts';
import { findNetwork, type Network, readNetworks } from './conf-directory.ts';
import type { Conflist, Json } from './conflist.ts';
import { type Asked, connectLocked, endpointsOf, isInPlace, remove } from './connect.ts';
import type { RuntimeContext } from './context.ts';
import { type EndpointRecord, EndpointStore, netnsOf } from './endpoints.ts';
import { isOwn } from './invoke.ts';
import { exclusively } from './lock.ts';
import { isGone, lostEndpoints, removeLostEndpoint } from './lost-endpoints.ts';
import { isSame } from './process.ts';
import { writeFiles } from './sandbox/files.ts';
import { processesOfLost, removeIdle } from './sandbox/remove.ts';
import { makeNamespace, removeLocked, resultsOf, sandboxProcesses, surroundingsOf } from './sandbox/sandbox.ts';
import {
  lostSandboxes,
  type Sandbox,
  sandboxNetns,
  sandboxRecords,
  tryFindLost,
  tryFindSandbox,
  tryOpenPin,
} from './sandbox/store.ts';
import { openTarget, wordsOf } from './target.ts';

/** One thing that was done, or could not be done. */
export interface Deed {
  /** `sandbox db`, `eth0 of docker:web on lab`, `network lab` */
  readonly what: string;
  readonly did: 'removed' | 'restored' | 'collected' | 'as it was made' | 'passed over' | 'waits' | 'failed';
  /** Why it failed, or why it was done. */
  readonly why?: string;
}

/**
 * Removes sandboxes whose `netloom run` is gone and endpoints whose target is gone, and lets the plugins of networks
 * remove what belongs to no attachment. Whatever libcni's cache lists is valid, whoever attached it. A network is
 * skipped where the cache may be incomplete (strangerOf()), unless it is named.
 * @param names of networks; without any, all that are safe
 * @throws NetloomError no-network
 */
export function collect(context: RuntimeContext, names: readonly string[], tell: (deed: Deed) => void): void {
  const networks = namedNetworks(context, names);
  exclusively(context, () => {
    for (const deed of collecting(context, networks, names.length > 0)) tell(deed);
  });
}

function namedNetworks({ paths }: RuntimeContext, names: readonly string[]): readonly Network[] {
  return names.length === 0 ? readNetworks(paths.conf).networks : names.map((name) => findNetwork(paths.conf, name));
}

function* collecting(context: RuntimeContext, networks: readonly Network[], areNamed: boolean): Generator<Deed> {
  yield* collectSandboxes(context);
  yield* collectLost(context);
  yield* collectEndpoints(context);
  removeUnfinished(context);
  const cache = new AttachmentCache(context.paths.cni);
  for (const { list } of networks) {
    const what = `network ${list.name}`;
    const valid = cache
      .list((message) => context.warn(message))
      .filter(({ network }) => network === list.name)
      .map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
    const stranger = areNamed ? undefined : strangerOf(context, list, valid);
    if (stranger === undefined) yield attempt(what, 'collected', undefined, () => gcChain(context, list, valid));
    else yield { what, did: 'passed over', why: `${stranger}; "netloom gc ${list.name}" collects it all the same` };
  }
}

/**
 * Why the cache may lack an attachment that is in use. Some runtimes keep no cache, and an ADD in progress is not in it
 * yet. netloom's plugins leave a record with each attachment, so those with an existing namespace are known. Other
 * plugins leave no record; there, only another attachment in the cache shows that their runtime keeps one.
 */
function strangerOf(context: RuntimeContext, list: Conflist, valid: readonly Attachment[]): string | undefined {
  const isValid = ({ container, ifname }: AttachmentRecord) =>
    valid.some((each) => each.containerID === container && each.ifname === ifname);
  const stranger = liveRecords(context, list.name).find((record) => !isValid(record));
  const { directory } = new AttachmentCache(context.paths.cni);
  if (stranger !== undefined)
    return `"${stranger.ifname}" of "${stranger.container}" is in use, and "${directory}" has no result of it`;
  const foreign = list.plugins[0];
  if (foreign === undefined || isOwn(foreign.type) || valid.length > 0) return undefined;
  return `"${foreign.type}" is none of netloom's plugins, and "${directory}" has no result of the network`;
}

/**
 * Restores persistent sandboxes, and every endpoint whose target exists without it: under the same name and, where they
 * are free, with the same addresses.
 */
export function restore(context: RuntimeContext, tell: (deed: Deed) => void): void {
  exclusively(context, () => {
    for (const deed of restoring(context)) tell(deed);
  });
}

function* restoring(context: RuntimeContext): Generator<Deed> {
  yield* collectSandboxes(context);
  // Sandboxes with their own namespace first, because others share it.
  const sandboxes = sandboxRecords(context)
    .list()
    .sort((a, b) => Number(b.mode === 'own') - Number(a.mode === 'own'));
  for (const sandbox of sandboxes.filter((each) => isMissing(context, each))) {
    yield attempt(`sandbox ${sandbox.name}`, 'restored', undefined, () => makeNamespace(context, sandbox));
  }
  for (const { name, why } of lostSandboxes(context)) {
    const mend = `"netloom sandbox rm ${name}" removes what is left of it`;
    yield { what: `sandbox ${name}`, did: 'failed', why: `${why}; ${mend}` };
  }
  for (const record of new EndpointStore(context).list()) {
    if (!isInPlace(record)) yield restoreEndpoint(context, record);
  }
  for (const sandbox of sandboxes) {
    if (sandbox.mode !== 'host') writeFiles(context, sandbox, surroundingsOf(resultsOf(context, sandbox.name)));
  }
}

/**
 * Compares endpoints with the results of their ADDs: CHECK of every plugin. @param words select the target; without
 * them, all
 */
export function verify(context: RuntimeContext, words: string | undefined, tell: (deed: Deed) => void): void {
  const cache = new AttachmentCache(context.paths.cni);
  const records = endpointsOf(context, words);
  if (records.length === 0 && words !== undefined)
    throw new NetloomError('not-connected', `"${words}" is not connected`);
  for (const record of records) {
    const check = () => {
      const cached = cache.tryGet(record.network, record.target.containerId, record.ifname);
      if (cached === undefined) throw new NetloomError('not-attached', 'it was never finished');
      checkChain(context, cachedList(cached), { ...cached, netns: netnsOf(record) });
    };
    tell(attempt(wordsOfEndpoint(record), 'as it was made', undefined, check));
  }
}

/** Removes temporary files of a killed netloom. NB: they are only written under the lock, which we hold. */
function removeUnfinished({ paths }: RuntimeContext): void {
  for (const directory of [
    `${paths.state}/endpoints`,
    `${paths.state}/sandboxes`,
    `${paths.cni}/results`,
    paths.conf,
  ]) {
    for (const name of tryList(directory) ?? []) if (/\.\d+\.tmp$/.test(name)) unlink(`${directory}/${name}`);
  }
}

function* collectSandboxes(context: RuntimeContext): Generator<Deed> {
  const isAbandoned = (sandbox: Sandbox) =>
    sandbox.isTransient &&
    !(sandbox.runner !== undefined && isSame(sandbox.runner)) &&
    sandboxProcesses(context, sandbox).length === 0;
  for (const sandbox of sandboxRecords(context).list().filter(isAbandoned)) {
    yield attempt(`sandbox ${sandbox.name}`, 'removed', 'its command has ended', () => removeLocked(context, sandbox));
  }
}

/** A namespace without a record is of use only to the processes in it. */
function* collectLost(context: RuntimeContext): Generator<Deed> {
  for (const lost of lostSandboxes(context).filter(({ isPinned }) => isPinned)) {
    const { name, why } = lost;
    const what = `sandbox ${name}`;
    if (processesOfLost(context, name).length === 0) {
      yield attempt(what, 'removed', why, () => removeIdle(context, lost));
    } else {
      const mend = `"netloom sandbox rm --force ${name}" removes it all the same`;
      yield { what, did: 'passed over', why: `${why}; processes run in it, and ${mend}` };
    }
  }
}

function* collectEndpoints(context: RuntimeContext): Generator<Deed> {
  const cache = new AttachmentCache(context.paths.cni);
  for (const record of new EndpointStore(context).list()) {
    const why = goneBecause(context, cache, record);
    if (why !== undefined) yield attempt(wordsOfEndpoint(record), 'removed', why, () => remove(context, record));
  }
  for (const lost of lostEndpoints(context).filter(isGone)) {
    const { ifname, containerId, network } = lost.attachment;
    const why = `its record is damaged, and its namespace gone`;
    yield attempt(`${ifname} of ${containerId} on ${network}`, 'removed', why, () =>
      removeLostEndpoint(context, lost, ''),
    );
  }
}

/** Why an endpoint is obsolete; undefined where it is not. That of a sandbox waits for the sandbox to be restored. */
function goneBecause(context: RuntimeContext, cache: AttachmentCache, record: EndpointRecord): string | undefined {
  const { target, network, ifname } = record;
  if (target.kind === 'sandbox') {
    const sandbox = tryFindSandbox(context, target.name);
    if (sandbox === undefined) {
      // Where its namespace exists, it is removed with that.
      return tryFindLost(context, target.name)?.isPinned === true ? undefined : 'its sandbox is gone';
    }
    if (isMissing(context, sandbox)) return undefined;
  } else {
    const path = netnsOf(record);
    using netns = path === '' ? undefined : tryOpenNetns(path);
    if (netns === undefined) return 'its target has ended';
  }
  return cache.tryGet(network, target.containerId, ifname) === undefined ? 'it was never finished' : undefined;
}

function restoreEndpoint(context: RuntimeContext, record: EndpointRecord): Deed {
  const what = wordsOfEndpoint(record);
  const { kind, containerId, name } = record.target;
  let target: ReturnType<typeof openTarget>;
  try {
    target = openTarget(context, kind === 'pid' || kind === 'netns' ? `${kind}:${name}` : `${kind}:${containerId}`, {
      shared: true,
    });
  } catch (error) {
    return { what, did: 'waits', why: messageOf(error) };
  }
  using _ = target;
  // The number of a process that ended may be another's by now.
  if (target.id.containerId !== containerId) return { what, did: 'waits', why: `${wordsOf(record.target)} has ended` };
  return attempt(what, 'restored', undefined, () => {
    const cached = new AttachmentCache(context.paths.cni).tryGet(record.network, containerId, record.ifname);
    const before = cached?.result === undefined ? [] : addressesOf(cached.result);
    const store = new EndpointStore(context);
    const again = (ips: readonly string[]) => {
      const asked: Asked = { ifname: record.ifname, ips, mac: record.mac, ports: record.ports };
      const { record: made } = connectLocked(context, record.network, target, asked);
      store.put({ ...made, ips: record.ips });
    };
    remove(context, record);
    try {
      if (record.ips.length > 0 || before.length === 0) again(record.ips);
      else
        firstOf(
          () => again(before),
          () => again([]),
        );
    } catch (error) {
      store.put(record); // It is still wanted.
      throw error;
    }
  });
}

/** Runs the second function if the first one throws. */
function firstOf(first: () => void, second: () => void): void {
  try {
    first();
  } catch {
    second();
  }
}

function addressesOf(result: Json): string[] {
  return surroundingsOf([result]).addresses.map((address) => address.replace(/\/.*$/, ''));
}

/** Whether a sandbox lacks the namespace that it should have. */
function isMissing(context: RuntimeContext, { name, mode }: Sandbox): boolean {
  if (mode === 'host') return false;
  using pin = tryOpenPin(sandboxNetns(context, name));
  return pin === undefined;
}

function attempt(what: string, did: Deed['did'], why: string | undefined, action: () => void): Deed {
  begin(what);
  try {
    action();
    return { what, did, ...(why !== undefined && { why }) };
  } catch (error) {
    return { what, did: 'failed', why: messageOf(error) };
  }
}

function wordsOfEndpoint({ ifname, target, network }: EndpointRecord): string {
  return `${ifname} of ${wordsOf(target)} on ${network}`;
}
