/**
 * Gives addresses back: last, and only where everything else of the attachment is gone. As long as its link exists it
 * answers for them, so nobody else may get them: a removal that fails keeps the leases until one succeeds. Where the
 * namespace is gone, so is all that was in it, and nothing fails.
 */
import type { Attachment, CniCall } from '../cni/call.ts';
import { NetloomError } from '../error.ts';
import { ipamDel, ipamGc } from '../ipam/delegate.ts';
import * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import { temporaryName } from './container-link.ts';
import { gather } from './gather.ts';
import { tryOpenContainer } from './namespace.ts';
import { aliasOf, commentOf, DEVICE_PREFIX, ownerOf } from './owner.ts';
import { hostEndName } from './wire.ts';

/** For DEL: runs every step, then gives the attachment's addresses back unless a step has failed. */
export function removeAndRelease(call: CniCall, ...steps: readonly (() => void)[]): void {
  gather(...steps);
  if (call.conf.ipam !== undefined) ipamDel(call);
}

/** One kind of thing that a GC removes. */
export interface Collection {
  /** Removes it from all attachments that are no longer valid. */
  remove(): void;
  /** Which of them still have it. Asked where the removal failed. @throws where that cannot be told */
  left(): readonly Attachment[];
}

/**
 * For GC: runs every removal, then gives back the addresses of all attachments that are no longer valid. An attachment
 * that could not be removed counts as valid for IPAM, so that it alone keeps its addresses. Where it cannot be told
 * which are left, all keep theirs.
 */
export function collectAndRelease(call: CniCall, ...collections: readonly Collection[]): void {
  const left: (readonly Attachment[] | undefined)[] = [];
  gather(
    ...collections.map((collection) => () => {
      try {
        collection.remove();
      } catch (error) {
        left.push(tryTell(collection));
        throw error;
      }
    }),
    () => {
      const isTold = left.every((each) => each !== undefined);
      if (call.conf.ipam !== undefined && isTold) ipamGc(withValid(call, left.flat()));
    },
  );
}

function tryTell(collection: Collection): readonly Attachment[] | undefined {
  try {
    return collection.left();
  } catch {
    return undefined; // the removal's error says why
  }
}

/**
 * The call with more valid attachments than the runtime lists: both as it is read here, and as other IPAM plugins get
 * it on stdin.
 */
function withValid(call: CniCall, more: readonly Attachment[]): CniCall {
  if (more.length === 0) return call;
  const valid = [...(call.conf.validAttachments ?? []), ...more];
  const json = JSON.parse(call.stdin) as Readonly<Record<string, unknown>>;
  return {
    ...call,
    conf: { ...call.conf, validAttachments: valid },
    stdin: JSON.stringify({ ...json, 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid }),
  };
}

/**
 * For the undo of an ADD, after all that was made with the addresses has been undone. Where that failed, the addresses
 * stay taken until DEL.
 * @throws NetloomError try-again where a link of the attachment is left
 */
export function releaseUndone(call: CniCall): void {
  if (!hasLink(call)) {
    ipamDel(call);
    return;
  }
  throw new NetloomError('try-again', 'The addresses stay taken: the interface that has them could not be removed', {
    hint: 'call DEL',
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
