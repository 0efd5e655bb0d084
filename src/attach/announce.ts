/**
 * Announces addresses to the neighbours. A reused address has another MAC than the one that they remember, and until
 * their entry ages out (minutes) its traffic goes nowhere. The kernel sends the gratuitous ARP (RFC 5227) and the
 * unsolicited neighbour advertisement (RFC 4861, 7.2.6) for us when the link's MAC is set, even to the same one, where
 * arp_notify and ndisc_notify are on: addresses.ts switches them on.
 *
 * Why not a packet socket: closing one waits for RCU (packet_release(), synchronize_net()), 10 ms and more.
 */

import type { Mac } from '../net/mac.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { RTNLGRP } from '../rtnl/constants.ts';
import * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import type { ContainerSide } from './namespace.ts';

/**
 * How long a link may take until it carries frames, in milliseconds. It takes the kernel's link watch well under one.
 */
const CARRIER_LIMIT = 2_500;

/**
 * Announces the addresses of a container's interface. The link it leads to must carry frames already, see
 * awaitCarrier().
 */
export function announce(container: ContainerSide, index: number, mac: Mac): void {
  container.nl.execute(link.set({ index }, { address: mac }));
}

/**
 * Waits until a link carries frames. A bridge port that was just plugged in forwards only when the kernel's link watch,
 * which runs in parallel, has seen its carrier.
 * @returns the link as it is then; after 2.5 s as it is, because a bridge that is down never carries anything
 */
export function awaitCarrier(nl: NetlinkSocket, index: number): link.Link {
  const first = link.get(nl, { index });
  if (first.isOperational) return first;
  using events = openRoute();
  events.join(RTNLGRP.LINK);
  const deadline = performance.now() + CARRIER_LIMIT;
  for (;;) {
    const current = link.get(nl, { index });
    const left = deadline - performance.now();
    if (current.isOperational || left <= 0) return current;
    events.next(left);
  }
}
