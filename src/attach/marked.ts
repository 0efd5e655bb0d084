/** Finds the attachment that a mark belongs to. */
import type { Attachment, CniCall } from '../cni/call.ts';
import { NetloomError } from '../error.ts';
import { attachmentIn, hashedMark, ownerName } from './owner.ts';
import { staleRecords } from './record.ts';

/**
 * The attachments whose marks a GC has found. Where the owner is too long for a mark, the attachment's record has it.
 * @throws NetloomError internal where there is no such record
 */
export function attachmentsMarked(call: CniCall, marks: readonly string[]): Attachment[] {
  return marks.map((mark) => {
    const found = attachmentIn(mark) ?? recorded(call, mark);
    if (found !== undefined) return found;
    throw new NetloomError('internal', `Cannot tell whose the mark "${mark}" is: no record of an attachment has it`);
  });
}

function recorded(call: CniCall, mark: string): Attachment | undefined {
  const found = staleRecords(call, call.conf.type).find(
    ({ network, container, ifname }) => hashedMark(ownerName(network, { containerID: container, ifname })) === mark,
  );
  return found && { containerID: found.container, ifname: found.ifname };
}
