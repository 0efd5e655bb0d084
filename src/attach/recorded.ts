/**
 * What every plugin that attaches a container has in common: it is refused where its mode does not go with another, and
 * it leaves a record.
 */
import type { CniCall, NetConf } from '../cni/call.ts';
import type { Plugin } from '../cni/plugin.ts';
import type { CniResult } from '../cni/result.ts';
import { NetloomError } from '../error.ts';
import { netnsIdAt } from '../netns/namespace.ts';
import { isSharer, refuseChain, refuseCompany, SHARING } from './exclusive.ts';
import { gather } from './gather.ts';
import {
  type AttachmentRecord,
  findRecord,
  keyOf,
  makeRecordDirectory,
  putRecord,
  recordsOf,
  removeRecord,
  removeUnfinished,
  staleRecords,
} from './record.ts';

/**
 * The plugin with records. The record stands before the first change, so that whatever a killed ADD leaves is known to
 * DEL and GC.
 */
export function recorded<C extends NetConf>(plugin: Plugin<C>): Plugin<C> {
  return {
    ...plugin,
    add: (call) => add(plugin, call),
    del: (call) => del(plugin, call),
    gc(call) {
      plugin.gc(call);
      // NB: only now, for it may need them.
      gather(...staleRecords(call, plugin.type).map((record) => () => removeRecord(call.paths, record)), () =>
        removeUnfinished(call.paths),
      );
    },
  };
}

function add<C extends NetConf>(plugin: Plugin<C>, call: CniCall<C>): CniResult {
  const record = recordFor(call, plugin.type);
  refuseChain(call, record);
  using undo = new DisposableStack();
  enter(call, record, undo);
  const result = plugin.add(call);
  undo.move(); // It stands: the record stays.
  return result;
}

function recordFor(call: CniCall, mode: string): AttachmentRecord {
  const id = netnsIdAt(call.netns);
  if (id !== undefined) return { ...keyOf(call, mode), netns: call.netns, id };
  throw new NetloomError('no-namespace', `Cannot open the network namespace "${call.netns}": there is no such file`);
}

/**
 * Puts the record down. A container whose directory was not there has no other attachment, so nothing is read for it.
 */
function enter(call: CniCall, record: AttachmentRecord, undo: DisposableStack): void {
  const { paths } = call;
  let existing: AttachmentRecord | undefined;
  if (!makeRecordDirectory(paths, record.container)) {
    refuseCompany(call, record);
    existing = findRecord(call, record);
  }
  undo.defer(() => {
    // One that was there is that of an earlier ADD, which this one must not take back.
    if (existing === undefined) removeRecord(paths, record);
    else putRecord(paths, existing);
  });
  if (existing?.id !== record.id || existing.netns !== record.netns) putRecord(paths, record);
}

/**
 * What a sharer sees in its namespace is another container's, so its DELs look into none; only its own type knows what
 * to do there. Where it cannot be read whether the container is one, nothing is done.
 */
function del<C extends NetConf>(plugin: Plugin<C>, call: CniCall<C>): void {
  const key = keyOf(call, plugin.type);
  const seesNothing = plugin.type !== SHARING && isSharer(recordsOf(call, key.container));
  plugin.del(seesNothing ? { ...call, netns: '' } : call);
  // NB: last, and not where something is left: the next DEL may need it.
  removeRecord(call.paths, key);
}
