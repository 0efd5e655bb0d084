/**
 * Transactions: the messages between NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END take effect together, or none does.
 * linux/netfilter/nfnetlink.h; nfnetlink_rcv_batch() in net/netfilter/nfnetlink.c.
 *
 * What the kernel answers. It processes the batch before send() returns, under a mutex of the network namespace.
 * Batches of several processes therefore run one after another, and none has to be tried again. If the kernel has to
 * load a module, it replays the batch by itself. It goes on after a failed message and reports all failures at the end,
 * in order: the first is the cause, the others are often its consequences. Without NLM_F_ACK a message that succeeds is
 * not answered, so silence means success. An error of the whole batch (no nf_tables, no permission, out of memory,
 * another generation) is reported for the BATCH_BEGIN.
 */
import type { AttrTable } from '../netlink/attribute.ts';
import { be32 } from '../netlink/codec.ts';
import { type Ack, NetlinkError } from '../netlink/error.ts';
import { type MessageKind, NLM_F, type Request, request, writeMessage } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { unsupported } from './feature.ts';
import { nfgenmsg } from './message.ts';
import { nftCommand } from './text.ts';

const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFNL_SUBSYS_NFTABLES = 10;

/** NFNL_BATCH_*. */
const attrs = {
  generation: [1, be32], // NFNL_BATCH_GENID
} as const satisfies AttrTable;

const batchKind = { name: 'batch', header: nfgenmsg, attrs } as const satisfies MessageKind;

export interface BatchOptions {
  /** From generation.ts: the kernel refuses the batch with ERESTART if the ruleset has changed since it was read. */
  readonly generation?: number;
}

/**
 * Carries out all requests, or none.
 * Equivalent to: `nft -f` with a line for each
 * @throws NetlinkError of the first request that the kernel refuses
 */
export function commit(nft: NetlinkSocket, requests: readonly Request[], options: BatchOptions = {}): void {
  const { generation } = options;
  const begin = frame(NFNL_MSG_BATCH_BEGIN, requests, generation === undefined ? {} : { generation });
  const end = frame(NFNL_MSG_BATCH_END, requests, {});
  const { errors } = nft.transact(requests, () => 0, {
    before: (out, sequence) => writeMessage(out, begin.type, NLM_F.REQUEST, sequence, (body) => begin.write(body)),
    after: (out, sequence) => writeMessage(out, end.type, NLM_F.REQUEST, sequence, (body) => end.write(body)),
  });
  let first: readonly [index: number, ack: Ack] | undefined;
  for (const error of errors) if (first === undefined || error[0] < first[0]) first = error;
  if (first === undefined) return;
  const error = new NetlinkError(requests[first[0]] ?? begin, first[1]);
  throw unsupported(error) ?? error;
}

function frame(type: number, requests: readonly Request[], values: { readonly generation?: number }): Request {
  return request(batchKind, type, 0, { resId: NFNL_SUBSYS_NFTABLES }, values, {
    action: () => `commit ${requests.length} changes to nf_tables`,
    command: () => requests.map((each) => each.command).join('; ') || nftCommand('-f -'),
  });
}
