/**
 * Giving addresses back: last, and only where everything else of the attachment is gone. As long as its link is there it answers for them, so nobody else may get them: a removal
 * that fails keeps the leases until one succeeds. Where the namespace is gone, so is what was in it, and nothing fails.
 */
import type { CniCall } from '../cni/call.ts';
import { NetloomError } from '../error.ts';
import { ipamDel, ipamGc } from '../ipam/delegate.ts';
import * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import { temporaryName } from './container-link.ts';
import { gather } from './gather.ts';
import { tryOpenContainer } from './namespace.ts';
import { aliasOf, commentOf, DEVICE_PREFIX, ownerOf } from './owner.ts';
import { hostEndName } from './wire.ts';

/** For DEL: takes every step, then gives the attachment's addresses back unless one failed. */
export function removeAndRelease(call: CniCall, ...steps: readonly (() => void)[]): void {
  gather(...steps);
  if (call.conf.ipam !== undefined) ipamDel(call);
}

/** For GC: the same with the addresses of all attachments that are no longer valid. */
export function collectAndRelease(call: CniCall, ...steps: readonly (() => void)[]): void {
  gather(...steps);
  if (call.conf.ipam !== undefined) ipamGc(call);
}

/** For the undo of an ADD, when all that was made with the addresses has been undone. Where that did not work, DEL comes. */
export function releaseUndone(call: CniCall): void {
  if (!hasLink(call)) {
    ipamDel(call);
    return;
  }
  throw new NetloomError('try-again', 'The addresses stay taken: the interface that has them could not be removed', {
    hint: 'DEL comes next',
  });
}

/** Whether a link of the attachment is there, on the host or in the container. */
function hasLink(call: CniCall): boolean {
  const owner = ownerOf(call);
  const alias = aliasOf(owner);
  using nl = openRoute();
  if (link.find(nl, { name: hostEndName(owner) })?.alias === alias) return true;
  using container = tryOpenContainer(call);
  if (container === undefined) return false;
  const device = `${DEVICE_PREFIX}${commentOf(owner)} `;
  return link
    .list(container.nl)
    .some((each) => each.name === temporaryName(owner) || each.alias === alias || each.alias?.startsWith(device));
}
