/**
 * Makes a container share the target's namespace: the path in which the runtime is going to start the container leads
 * to that namespace from then on.
 */
import { ContainerSide } from '../../attach/namespace.ts';
import { keyOf, putRecord } from '../../attach/record.ts';
import type { CniCall } from '../../cni/call.ts';
import { NetloomError } from '../../error.ts';
import { pinAtPath } from '../../netns/mounts.ts';
import { type Netns, openNetns } from '../../netns/namespace.ts';
import { pinOver, unpinOver } from '../../netns/pin.ts';
import { findProcess } from '../../netns/processes.ts';
import * as link from '../../rtnl/link.ts';

/**
 * Puts the target's namespace over a fresh one.
 * @throws NetloomError namespace-in-use unless CNI_NETNS is a namespace that is pinned and not used yet
 */
export function share(call: CniCall, mode: string, target: Netns, undo: DisposableStack): void {
  const { netns: path, paths } = call;
  refuseUsed(path);
  // NB: before the mount. The record has the path and the namespace, so DEL or GC can remove what a killed ADD leaves.
  putRecord(paths, { ...keyOf(call, mode), netns: path, id: target.id });
  undo.defer(() => unpinOver(path, target.id));
  pinOver(target, path);
}

function refuseUsed(path: string): void {
  const refuse = (why: string): never => {
    throw new NetloomError(
      'namespace-in-use',
      `Cannot share a network by CNI_NETNS "${path}": it is a network namespace of its own, and ${why}`,
      {
        hint: "have the runtime start the container in the other's namespace, as podman run --network container:ID does",
      },
    );
  };
  if (pinAtPath(path) === undefined) refuse('it is not pinned by a mount of its own, which another could be put over');
  using fresh = new ContainerSide(openNetns(path));
  const interfaces = link.list(fresh.nl).filter(({ name }) => name !== 'lo');
  if (interfaces.length > 0)
    refuse(`it has interfaces already: ${interfaces.map(({ name }) => `"${name}"`).join(', ')}`);
  const process = findProcess(fresh.netns);
  if (process !== undefined) refuse(`process ${process} is in it already`);
}
