/**
 * Finds base chains of other programs with the policy drop. A drop is final, whatever our own table says. nft(8)
 * "CHAINS"
 */
import { request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { chainKind } from './chain.ts';
import { NFPROTO, NFT_MSG } from './message.ts';
import { nftCommand } from './text.ts';

/** NF_INET_FORWARD, NF_DROP. */
const FORWARD = 2;
const DROP = 0;
/** The families whose hook with this number is the forward hook of routed packets. */
const LAYER3: ReadonlySet<number> = new Set([NFPROTO.ip, NFPROTO.ip6, NFPROTO.inet]);

/**
 * Each chain in the forward hook with the policy drop, as `ip filter FORWARD`.
 * Equivalent to: `nft list chains`, read
 */
export function droppingForward(nft: NetlinkSocket): string[] {
  const all = request(
    chainKind,
    NFT_MSG.GETCHAIN,
    0,
    { family: 0 },
    {},
    { action: () => 'list all chains', command: () => nftCommand('list chains') },
  );
  return nft
    .dump(all)
    .filter(
      ({ header, attrs }) =>
        LAYER3.has(header.family) && attrs.hook?.number === FORWARD && attrs.type === 'filter' && attrs.policy === DROP,
    )
    .map(({ header, attrs: { table = '', name = '' } }) => {
      const family = Object.entries(NFPROTO).find(([, number]) => number === header.family)?.[0] ?? '?';
      return `${family} ${table} ${name}`;
    });
}
