/**
 * What a runtime has to do with the plugins of a network: the input of each call, their order, and what is kept between
 * calls. https://www.cni.dev/docs/spec/#section-3-execution-of-network-configurations
 */
import { gather } from '../attach/gather.ts';
import type { Attachment, Command } from '../cni/call.ts';
import { findPlugin } from '../cni/exec.ts';
import { decodeResult, encodeResult, isAtLeast } from '../cni/versions.ts';
import { NetloomError } from '../error.ts';
import { tryOpenNetns } from '../netns/namespace.ts';
import { withNetns } from '../netns/within.ts';
import * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import { AttachmentCache, type CachedAttachment } from './cache.ts';
import { type Conflist, type Json, type PluginEntry, parseConflist, parseJson } from './conflist.ts';
import type { RuntimeContext } from './context.ts';
import { type Endpoint, invoke, isOwn } from './invoke.ts';

/**
 * Attaches a container: ADD of each plugin, each with the previous one's result. If one fails, the others are undone;
 * libcni leaves that to its callers.
 * @returns the result of the last plugin
 * @throws NetloomError duplicate-attachment, or the plugin's error
 */
export function addChain(context: RuntimeContext, list: Conflist, endpoint: Endpoint): Json {
  const cache = new AttachmentCache(context.paths.cni);
  const { containerId, ifname } = endpoint;
  refuseUndeclared(list, endpoint);
  if (cache.tryGet(list.name, endpoint.containerId, endpoint.ifname) !== undefined) {
    throw new NetloomError(
      'duplicate-attachment',
      `Cannot attach "${ifname}" of "${containerId}" to the network "${list.name}": it is attached already`,
    );
  }
  refuseTakenName(endpoint);
  requirePlugins(context, list);
  let result: Json | undefined;
  using undo = new DisposableStack();
  for (const plugin of list.plugins) {
    const before = result;
    const takeBack = () => {
      call(context, 'DEL', list, plugin, endpoint, { prevResult: result ?? before });
    };
    // Our own plugins undo an ADD that fails; of others that is not known.
    if (!isOwn(plugin.type)) undo.defer(takeBack);
    const stdout = call(context, 'ADD', list, plugin, endpoint, { prevResult: before });
    if (isOwn(plugin.type)) undo.defer(takeBack);
    result = resultOf(stdout, list, plugin);
  }
  const final = result ?? {};
  // An attachment without a record would never be removed.
  cache.put({ ...endpoint, network: list.name, config: list.text, result: final });
  undo.move();
  return final;
}

/**
 * Detaches a container: DEL of each plugin, last one first, with the result of the ADD. A failure does not keep the
 * other plugins from being called. The record is removed only when all have succeeded, so that the DEL can be tried
 * again.
 */
export function delChain(context: RuntimeContext, list: Conflist, endpoint: Endpoint): void {
  const cache = new AttachmentCache(context.paths.cni);
  const cached = cache.tryGet(list.name, endpoint.containerId, endpoint.ifname);
  const prevResult = isAtLeast(list.cniVersion, '0.4.0') ? cached?.result : undefined;
  gather(
    ...list.plugins.toReversed().map((plugin) => () => {
      call(context, 'DEL', list, plugin, endpoint, { prevResult });
    }),
  );
  cache.remove(list.name, endpoint.containerId, endpoint.ifname);
}

/**
 * Compares the present state with the result of the ADD.
 * @throws NetloomError check-failed and others; incompatible-version before 0.4.0
 */
export function checkChain(context: RuntimeContext, list: Conflist, endpoint: Endpoint): void {
  requireVersion(list, 'CHECK', '0.4.0');
  if (list.disableCheck) return;
  const cached = new AttachmentCache(context.paths.cni).get(list.name, endpoint.containerId, endpoint.ifname);
  if (cached?.result === undefined) {
    throw new NetloomError(
      'not-attached',
      `Cannot check "${endpoint.ifname}" of "${endpoint.containerId}": it is not attached to the network "${list.name}"`,
    );
  }
  for (const plugin of list.plugins) {
    call(context, 'CHECK', list, plugin, endpoint, { prevResult: cached.result });
  }
}

/**
 * Removes every attachment of a network that is not among the valid ones: first those in the cache, by DEL, then others
 * that the plugins find, by GC.
 */
export function gcChain(context: RuntimeContext, list: Conflist, valid: readonly Attachment[]): void {
  if (list.disableGC) return;
  const isValid = ({ containerId, ifname }: CachedAttachment) =>
    valid.some((each) => each.containerID === containerId && each.ifname === ifname);
  const cached = new AttachmentCache(context.paths.cni).list((message) => context.warn(message));
  const stale = cached.filter((each) => each.network === list.name && !isValid(each));
  const lists = { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid };
  const callsGc = isAtLeast(list.cniVersion, '1.1.0');
  gather(
    ...stale.map((each) => () => delChain(context, cachedList(each), each)),
    ...(callsGc ? list.plugins : []).map((plugin) => () => {
      call(context, 'GC', list, plugin, undefined, lists);
    }),
  );
}

/**
 * Whether the network can serve an ADD now.
 * @throws NetloomError the error of the first plugin that cannot; incompatible-version before 1.1.0
 */
export function statusChain(context: RuntimeContext, list: Conflist): void {
  requireVersion(list, 'STATUS', '1.1.0');
  for (const plugin of list.plugins) call(context, 'STATUS', list, plugin, undefined, {});
}

/** The network as it was when the attachment was made. Its conflist may have changed since, or be gone. */
export function cachedList({ config, network }: CachedAttachment): Conflist {
  return parseConflist(config, `the attachment to "${network}"`);
}

/** Calls one plugin, with its configuration completed as the specification demands. */
function call(
  context: RuntimeContext,
  command: Command,
  { name, cniVersion }: Conflist,
  { type, capabilities, conf }: PluginEntry,
  endpoint: Endpoint | undefined,
  { prevResult, ...more }: { readonly prevResult?: Json | undefined } & Json,
): string {
  const asked = endpoint?.capabilityArgs ?? {};
  const runtimeConfig = Object.fromEntries(Object.entries(asked).filter(([key]) => capabilities.includes(key)));
  const whole = {
    ...conf,
    name,
    cniVersion,
    ...(prevResult !== undefined && { prevResult }),
    ...(Object.keys(runtimeConfig).length > 0 && { runtimeConfig }),
    ...more,
  };
  return invoke(context, command, type, whole, endpoint);
}

/**
 * Refuses an argument that no plugin declares: it would be lost silently. @throws NetloomError unsupported-capability
 */
function refuseUndeclared(list: Conflist, { capabilityArgs }: Endpoint): void {
  const declared = list.plugins.flatMap(({ capabilities }) => capabilities);
  const [missing] = Object.keys(capabilityArgs).filter((name) => !declared.includes(name));
  if (missing === undefined) return;
  throw new NetloomError(
    'unsupported-capability',
    `Cannot attach to the network "${list.name}" with "${missing}": none of its plugins has that capability`,
    { hint: `its plugins are ${list.plugins.map(({ type }) => type).join(', ')}` },
  );
}

/**
 * The result of an ADD for the next plugin: unchanged where it has the version of the list, otherwise converted to it.
 */
function resultOf(stdout: string, { cniVersion }: Conflist, { type }: PluginEntry): Json {
  const action = `Cannot read the result of "${type}"`;
  const json = parseJson(stdout, action);
  const result = decodeResult(json, cniVersion, { code: 'invalid-result', action });
  return json['cniVersion'] === cniVersion ? json : encodeResult(result, cniVersion);
}

/**
 * Refuses a name that an interface of the container already has. NB: before any plugin is called. The reference plugins
 * fail on it too, but the DEL that cleans up after them would remove that other interface.
 */
function refuseTakenName({ netns: path, ifname }: Endpoint): void {
  using netns = ifname === 'lo' ? undefined : tryOpenNetns(path);
  if (netns === undefined) return; // The plugins report what is wrong with it.
  using nl = withNetns(netns, () => openRoute());
  if (link.find(nl, { name: ifname }) === undefined) return;
  throw new NetloomError('ifname-in-use', `Cannot add "${ifname}": the container has an interface of that name`);
}

/**
 * Requires that all plugins exist. Called before anything is recorded: a plugin that is missing could not undo anything
 * either.
 * @throws NetloomError plugin-not-found
 */
export function requirePlugins({ pluginPath }: RuntimeContext, { name, plugins }: Conflist): void {
  const hint = `the network "${name}" names it; "netloom plugins" lists netloom's own, others are looked for in CNI_PATH`;
  for (const { type } of plugins) if (!isOwn(type)) findPlugin(type, pluginPath, hint);
}

function requireVersion({ name, cniVersion }: Conflist, command: Command, since: string): void {
  if (isAtLeast(cniVersion, since)) return;
  throw new NetloomError(
    'incompatible-version',
    `configuration version ${JSON.stringify(cniVersion)} of the network "${name}" does not support ${command}`,
    { details: `it needs ${since} or later` },
  );
}
