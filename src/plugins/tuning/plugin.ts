/**
 * tuning: sysctls of the container's namespace, and MAC, MTU, promiscuous and all-multicast mode and queue length of
 * its interface, as a chained plugin. https://www.cni.dev/plugins/current/meta/tuning/
 */
import { attachedOf, requireInterface } from '../../attach/chained.ts';
import { gather } from '../../attach/gather.ts';
import { type ContainerSide, openContainer, tryOpenContainer } from '../../attach/namespace.ts';
import { validOwners } from '../../attach/owner.ts';
import { Differences, verifyPresence } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { messageOf, NetloomError } from '../../error.ts';
import { readSysctl, writeSysctl } from '../../net/sysctl.ts';
import { withNetns } from '../../netns/within.ts';
import * as link from '../../rtnl/link.ts';
import { requireRoute } from '../../rtnl/socket.ts';
import { type LinkSettings, refuseShortMtu, schema, type Tuning, type TuningConf, tuningOf } from './conf.ts';
import { changeLink, linkDifferences, settingsOf } from './interface.ts';
import {
  type Change,
  type Changes,
  readRecord,
  recordPath,
  removeRecord,
  removeStaleRecords,
  type TuningRecord,
  type Value,
  writeRecord,
} from './record.ts';
import {
  isSame,
  locate,
  readAllowlist,
  refuseForeignKeys,
  refuseTwice,
  refuseUnlisted,
  type Sysctl,
  setSysctl,
  sysctlDifferences,
} from './sysctls.ts';

export const tuning: Plugin<TuningConf> = {
  type: 'tuning',
  about: 'sysctls of the container and properties of its interface, in a chain',
  schema,
  add,
  del,
  check,
  gc: (call) => removeStaleRecords(call, validOwners(call)),
  status,
};

function add(call: CniCall<TuningConf>): CniResult {
  const asked = tuningOf(call);
  const { result, ips } = attachedOf(call);
  refuseShortMtu(call, asked, ips);
  checkSysctls(call, asked);
  if (asked.sysctls.length === 0 && Object.keys(asked.link).length === 0) return result;
  using container = openContainer(call);
  using undo = new DisposableStack();
  const found = requireInterface(container, call.ifname, `Cannot tune "${call.ifname}"`);
  const sysctls = withNetns(container.netns, () => locate(asked.sysctls, call.ifname));
  remember(call, container, found, asked.link, sysctls, undo);
  applySysctls(container, sysctls, undo);
  applyLink(container, found, asked.link, undo);
  undo.move(); // All of it stands: nothing to undo.
  return withSettings(result, call.ifname, asked.link);
}

function checkSysctls(call: CniCall<TuningConf>, { sysctls }: Tuning): void {
  if (sysctls.length > 0) refuseTwice(call.stdin);
  refuseForeignKeys(sysctls, call.ifname);
  refuseUnlisted(sysctls, call.paths.sysctlAllowlist);
}

/**
 * Records the old values. NB: before the first change, so that DEL finds them whenever we are killed.
 */
function remember(
  call: CniCall<TuningConf>,
  container: ContainerSide,
  found: link.Link,
  settings: LinkSettings,
  sysctls: readonly Sysctl[],
  undo: DisposableStack,
): void {
  const path = recordPath(call);
  const earlier = readRecord(path, call.warn);
  const current = settingsOf(found);
  const linkChanges = changesOf(Object.entries(settings), (key) => current[key as keyof LinkSettings], earlier?.link);
  const sysctlChanges = withNetns(container.netns, () =>
    changesOf(
      sysctls.map(({ path, value }) => [path, value]),
      (key) => readSysctl(key),
      earlier?.sysctl,
    ),
  );
  undo.defer(() => (earlier === undefined ? removeRecord(path) : writeRecord(path, call, earlier)));
  writeRecord(path, call, { link: linkChanges, sysctl: sysctlChanges });
}

/**
 * The changes, with the old values. If an earlier tuning of this attachment has set a value and it is still there, the
 * old value is the one from before that tuning.
 */
function changesOf(
  wanted: readonly (readonly [key: string, set: Value])[],
  currently: (key: string) => Value | undefined,
  earlier: Changes = {},
): Changes {
  const changes: Record<string, Change> = {};
  for (const [key, change] of Object.entries(earlier)) if (isOurs(change, currently(key))) changes[key] = change;
  for (const [key, set] of wanted) {
    const old = changes[key]?.old ?? currently(key);
    if (old !== undefined) changes[key] = { old, set };
  }
  return changes;
}

/** Whether nobody has changed a value since. */
function isOurs({ set }: Change, current: Value | undefined): boolean {
  if (set === undefined) return true;
  return typeof set === 'string' && typeof current === 'string' ? isSame(current, set) : set === current;
}

function applySysctls(container: ContainerSide, sysctls: readonly Sysctl[], undo: DisposableStack): void {
  withNetns(container.netns, () => {
    for (const sysctl of sysctls) {
      const old = readSysctl(sysctl.path);
      if (isSame(old, sysctl.value)) continue;
      undo.defer(() => withNetns(container.netns, () => restoreSysctl(sysctl.path, old)));
      setSysctl(sysctl);
    }
  });
}

function applyLink(container: ContainerSide, found: link.Link, settings: LinkSettings, undo: DisposableStack): void {
  const current = settingsOf(found);
  const isChanged = (key: string) => settings[key as keyof LinkSettings] !== current[key as keyof LinkSettings];
  const keys = Object.keys(settings).filter(isChanged);
  if (keys.length === 0) return;
  const only = (all: LinkSettings): LinkSettings =>
    Object.fromEntries(Object.entries(all).filter(([key]) => keys.includes(key)));
  undo.defer(() => container.nl.attempt([changeLink(found.index, only(current))]));
  container.nl.execute(changeLink(found.index, only(settings)));
}

/** The result of earlier plugins, with the new MAC and MTU. */
function withSettings(result: CniResult, ifname: string, { mac, mtu }: LinkSettings): CniResult {
  if (result.interfaces === undefined || (mac === undefined && mtu === undefined)) return result;
  const interfaces = result.interfaces.map((each) =>
    each.name === ifname && each.sandbox !== undefined
      ? { ...each, ...(mac !== undefined && { mac }), ...(mtu !== undefined && { mtu }) }
      : each,
  );
  return { ...result, interfaces };
}

/**
 * Restores what nobody else has changed since. Without the namespace nothing is left to restore: all of it was there.
 */
function del(call: CniCall<TuningConf>): void {
  const path = recordPath(call);
  const record = readRecord(path, call.warn);
  if (record !== undefined) {
    using container = tryOpenContainer(call);
    if (container !== undefined) restore(container, call.ifname, record);
  }
  removeRecord(path);
}

function restore(container: ContainerSide, ifname: string, { link: changes, sysctl }: TuningRecord): void {
  gather(
    () => {
      const found = link.find(container.nl, { name: ifname });
      if (found === undefined) return;
      const current = settingsOf(found);
      const ours = Object.entries(changes).filter(([key, change]) =>
        isOurs(change, current[key as keyof LinkSettings]),
      );
      if (ours.length > 0)
        container.nl.execute(changeLink(found.index, Object.fromEntries(ours.map(([key, { old }]) => [key, old]))));
    },
    () =>
      withNetns(container.netns, () => {
        for (const [path, change] of Object.entries(sysctl))
          if (isOurs(change, readSysctl(path))) restoreSysctl(path, String(change.old));
      }),
  );
}

/** NB: settings of an interface are gone with it, and those of IPv6 also with an MTU below 1280. */
function restoreSysctl(path: string, old: string | undefined): void {
  if (old !== undefined && readSysctl(path) !== undefined) writeSysctl(path, old);
}

/** @throws NetloomError check-failed, with every difference */
function check(call: CniCall<TuningConf>): void {
  const asked = tuningOf(call);
  attachedOf(call);
  checkSysctls(call, asked);
  using container = openContainer(call);
  const differences = new Differences();
  const found = verifyPresence(container.nl, call.ifname, 'in the container', differences);
  if (found !== undefined) differences.add(...linkDifferences(found, asked.link));
  differences.add(...withNetns(container.netns, () => sysctlDifferences(asked.sysctls, call.ifname)));
  differences.throwIfAny();
}

/** @throws NetloomError not-available if the list of allowed sysctls cannot be read */
function status(call: CniCall<TuningConf>): void {
  requireRoute();
  try {
    readAllowlist(call.paths.sysctlAllowlist);
  } catch (cause) {
    throw new NetloomError('not-available', messageOf(cause), { cause });
  }
}
