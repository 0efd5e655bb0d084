/**
 * The generation of a namespace's ruleset: a number that every committed batch raises. NFTA_GEN_* of
 * linux/netfilter/nf_tables.h.
 */
import type { AttrTable } from '../netlink/attribute.ts';
import { be32, str } from '../netlink/codec.ts';
import { type MessageKind, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { NFT_MSG, nfgenmsg } from './message.ts';
import { nftCommand } from './text.ts';

const attrs = {
  id: [1, be32], // NFTA_GEN_ID
  pid: [2, be32], // NFTA_GEN_PROC_PID
  process: [3, str], // NFTA_GEN_PROC_NAME
} as const satisfies AttrTable;

const generationKind = { name: 'generation', header: nfgenmsg, attrs } as const satisfies MessageKind;

/** The current generation, for a batch that must fail if anything changes between reading and writing. */
export function get(nft: NetlinkSocket): number {
  const wanted = request(
    generationKind,
    NFT_MSG.GETGEN,
    0,
    {},
    {},
    {
      action: () => 'read the generation of the nf_tables ruleset',
      command: () => nftCommand('list ruleset'),
    },
  );
  return nft.execute(wanted)?.attrs.id ?? 0;
}
