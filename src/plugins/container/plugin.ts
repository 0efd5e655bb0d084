/**
 * container: the network of another container. If the runtime has already made the container in that namespace, the
 * plugin only reports its interfaces. If the runtime has pinned a fresh namespace with no process in it, the plugin
 * pins the other namespace over it, so that the container is started in that one. The interfaces belong to the other
 * container: the plugin does not touch them.
 */

import { describeNamespace } from '../../attach/describe.ts';
import { dnsOf } from '../../attach/dns.ts';
import { gather } from '../../attach/gather.ts';
import { ContainerSide } from '../../attach/namespace.ts';
import { type AttachmentRecord, findRecord, keyOf, staleRecords } from '../../attach/record.ts';
import { Differences } from '../../attach/verify.ts';
import { refuseIpam } from '../../attach/without-ipam.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { hasCode, messageOf, NetloomError } from '../../error.ts';
import { openNetns } from '../../netns/namespace.ts';
import { unpinOver } from '../../netns/pin.ts';
import { requireRoute } from '../../rtnl/socket.ts';
import { type ContainerConf, schema, wantedOf } from './conf.ts';
import { share } from './share.ts';
import { openTarget } from './target.ts';

const TYPE = 'container';

export const container: Plugin<ContainerConf> = {
  type: TYPE,
  about: 'the network of another container, shared',
  schema,
  add,
  del,
  check,
  gc,
  status,
};

function add(call: CniCall<ContainerConf>): CniResult {
  const { conf, netns } = call;
  refuseIpam(conf);
  using target = openTarget(call);
  using undo = new DisposableStack();
  if (!isThere(netns, target.id)) share(call, TYPE, target, undo);
  using there = new ContainerSide(openNetns(netns));
  const result = describeNamespace(there.nl, netns);
  undo.move(); // All of it stands: nothing to undo.
  return { ...result, ...dnsOf(conf) };
}

function isThere(path: string, id: string): boolean {
  using netns = openNetns(path);
  return netns.id === id;
}

/** Uses the record, which is written before the mount is made. Needs neither the namespace nor the target. */
function del(call: CniCall<ContainerConf>): void {
  const record = findRecord(call, keyOf(call, TYPE));
  if (record !== undefined) withdraw(record);
}

/**
 * Makes the path lead to its own namespace again, if it still leads to the other one. If the runtime itself made it
 * lead there, nothing lies beneath, and it stays.
 */
function withdraw({ netns, id }: AttachmentRecord): void {
  unpinOver(netns, id);
}

/** @throws NetloomError check-failed if the two containers no longer share a namespace */
function check(call: CniCall<ContainerConf>): void {
  const differences = new Differences();
  try {
    using target = openTarget(call);
    if (!isThere(call.netns, target.id)) {
      differences.add(`CNI_NETNS "${call.netns}" is not the namespace of the container that it shares the network of`);
    }
  } catch (error) {
    if (!hasCode(error, 'no-target')) throw error;
    differences.add(messageOf(error));
  }
  differences.throwIfAny();
}

function gc(call: CniCall<ContainerConf>): void {
  gather(...staleRecords(call, TYPE).map((record) => () => withdraw(record)));
}

/**
 * @throws NetloomError not-available if the configuration names a container or a path, and there is no such namespace
 * to share
 */
function status(call: CniCall<ContainerConf>): void {
  const { conf } = call;
  refuseIpam(conf);
  requireRoute();
  if (conf.container === undefined && conf.netns === undefined) return;
  wantedOf(call);
  try {
    openTarget(call)[Symbol.dispose]();
  } catch (cause) {
    if (!hasCode(cause, 'no-target', 'not-a-namespace')) throw cause;
    throw new NetloomError('not-available', messageOf(cause), { cause });
  }
}
