/**
 * What every plugin that attaches a container has in common: a mode that cannot be combined with another is refused,
 * and the attachment leaves a record.
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
 * Adds records to a plugin. A record is written before the first change, so that DEL and GC know whatever a killed ADD
 * leaves.
 */
export function recorded<C extends NetConf>(plugin: Plugin<C>): Plugin<C> {
  return {
    ...plugin,
    add: (call) => add(plugin, call),
    del: (call) => del(plugin, call),
    gc(call) {
      plugin.gc(call);
      // NB: only now, because the plugin may need the records.
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

/** Writes the record. A container whose directory was missing has no other attachment, so nothing is read for it. */
function enter(call: CniCall, record: AttachmentRecord, undo: DisposableStack): void {
  const { paths } = call;
  let existing: AttachmentRecord | undefined;
  if (!makeRecordDirectory(paths, record.container)) {
    refuseCompany(call, record);
    existing = findRecord(call, record);
  }
  undo.defer(() => {
    // An existing record is that of an earlier ADD, which this one must not undo.
    if (existing === undefined) removeRecord(paths, record);
    else putRecord(paths, existing);
  });
  if (existing?.id !== record.id || existing.netns !== record.netns) putRecord(paths, record);
}

/**
 * What a sharer has in its namespace is another container's, so its DELs look into no namespace. Only its own type
 * knows what to do there. Where it cannot be read whether the container is a sharer, nothing is done.
 */
function del<C extends NetConf>(plugin: Plugin<C>, call: CniCall<C>): void {
  const key = keyOf(call, plugin.type);
  const seesNothing = plugin.type !== SHARING && isSharer(recordsOf(call, key.container));
  plugin.del(seesNothing ? { ...call, netns: '' } : call);
  // NB: last, and not where something is left, because the next DEL may need it.
  removeRecord(call.paths, key);
}
