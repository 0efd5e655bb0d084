/**
 * The forwarding database of a tunnel: which station on the underlay has which MAC. man 8 bridge, "fdb"; ndmsg and
 * NDA_* of linux/neighbour.h. The family is AF_BRIDGE. NTF_SELF addresses the driver of the link, not the bridge that
 * the link is a port of.
 */
import type { Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { AF, RTM } from './constants.ts';
import { NUD, neighKind } from './neigh.ts';

const NTF_SELF = 0x02;
const NUD_NOARP = 0x40;

/**
 * The entry for broadcasts and for every MAC without an entry of its own. It may list many stations, which all get a
 * copy.
 */
export const ANY_MAC = '00:00:00:00:00:00' as Mac;

export interface FdbEntry {
  readonly link: number;
  readonly mac: Mac;
  /** The station. */
  readonly dst: Ip;
  /** Configured, not learned: it does not age. */
  readonly isPermanent: boolean;
}

/**
 * Sets the station that frames for a MAC go to. An existing entry is replaced, also a learned one.
 * Equivalent to: `bridge fdb replace MAC dev LINK dst IP self permanent`
 * @throws NetlinkError EOPNOTSUPP for ANY_MAC, which may have several stations: use append()
 */
export function replace(link: number, mac: Mac, dst: Ip): Request {
  return fdbRequest(RTM.NEWNEIGH, NLM_F.CREATE | NLM_F.REPLACE, 'replace', link, mac, dst);
}

/**
 * Adds a station to the entry of ANY_MAC. It is not an error if the entry has it already.
 * Equivalent to: `bridge fdb append 00:00:00:00:00:00 dev LINK dst IP self permanent`
 */
export function append(link: number, mac: Mac, dst: Ip): Request {
  return fdbRequest(RTM.NEWNEIGH, NLM_F.CREATE | NLM_F.APPEND, 'append', link, mac, dst);
}

/**
 * Removes an entry; for ANY_MAC, one of its stations.
 * Equivalent to: `bridge fdb del MAC dev LINK dst IP self`
 * @throws NetlinkError ENOENT when there is none
 */
export function remove(link: number, mac: Mac, dst: Ip): Request {
  return fdbRequest(RTM.DELNEIGH, 0, 'del', link, mac, dst);
}

/** The entries of a tunnel. Equivalent to: `bridge fdb show dev LINK` */
export function list(nl: NetlinkSocket, link: number): FdbEntry[] {
  const all = request(
    neighKind,
    RTM.GETNEIGH,
    0,
    // NB: the index is in the header, which every kernel from 5.0 on honours. NDA_IFINDEX means the same, but older
    // kernels refuse it.
    { family: AF.BRIDGE, index: link },
    {},
    { action: () => `list the FDB of link ${link}`, command: () => `bridge fdb show dev if${link}` },
  );
  return nl.dumpAs(all, ({ header, attrs: { lladdr, dst } }) => {
    const isOwn = header.index === link && (header.flags & NTF_SELF) !== 0;
    if (!isOwn || lladdr === undefined || dst === undefined) return [];
    return [{ link, mac: lladdr, dst, isPermanent: (header.state & (NUD.PERMANENT | NUD_NOARP)) !== 0 }];
  });
}

function fdbRequest(type: number, flags: number, verb: string, link: number, mac: Mac, dst: Ip): Request {
  const isRemoval = type === RTM.DELNEIGH;
  return request(
    neighKind,
    type,
    flags,
    { family: AF.BRIDGE, index: link, state: isRemoval ? 0 : NUD.PERMANENT, flags: NTF_SELF },
    { lladdr: mac, dst },
    {
      action: () => `${isRemoval ? 'remove' : 'set'} the FDB entry of link ${link} that leads ${mac} to ${dst}`,
      command: () => `bridge fdb ${verb} ${mac} dev if${link} dst ${dst} self${isRemoval ? '' : ' permanent'}`,
    },
  );
}
