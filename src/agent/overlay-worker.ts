/** The thread of the agent that looks after overlays. Like the others it never comes back to the engine's event loop: it waits for what the kernel tells of links, and for what stores tell. */
import { hasCode, messageOf } from '../error.ts';
import { awaitReadable } from '../ffi/poll.ts';
import { NLMSG, type RawMessage, readMessage } from '../netlink/message.ts';
import { isDeviceName } from '../overlay/network.ts';
import type { Paths } from '../paths.ts';
import { addrKind } from '../rtnl/addr.ts';
import { RTM, RTNLGRP } from '../rtnl/constants.ts';
import { linkKind } from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import { giveBack } from './garbage.ts';
import { OverlayKeeper } from './overlays.ts';

export interface OverlayAssignment {
  readonly paths: Paths;
}

interface Scope {
  onmessage: ((event: { data: OverlayAssignment }) => void) | null;
  postMessage(message: string): void;
}

/** How often stores are looked at, in ms: of what another machine does in a shared directory nothing tells. */
const TICK = 1_000;
/** How often it is looked whether the thread that speaks to etcd has written something down, where nothing tells of it, in ms. */
const NEWS = 20;

/** A look that takes so long, in ms, has read thousands of records, and leaves as much behind. */
const LONG = 50;

/** RT_SCOPE_LINK: of the addresses that every link has by itself, as containers come and go. */
const SCOPE_LINK = 253;

const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data }) => {
  scope.onmessage = null;
  const keeper = new OverlayKeeper(data.paths, (message) => scope.postMessage(message));
  using nl = openRoute();
  using events = openRoute();
  for (const group of [RTNLGRP.LINK, RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR]) events.join(group);
  let next = performance.now();
  for (;;) {
    const wait = Math.max(0, Math.min(next - performance.now(), keeper.isAsking ? NEWS : TICK));
    const [isAboutLinks] = awaitReadable([events.fd, ...keeper.tellers], wait);
    const now = performance.now();
    try {
      const isDue = keeper.hear(nl);
      const isSuspect = isAboutLinks === true && events.next(0).some((raw) => isAboutOverlays(raw, keeper));
      if (!isSuspect && !isDue && now < next) continue;
      keeper.look(nl, now, isSuspect);
    } catch (error) {
      scope.postMessage(messageOf(error));
      // NB: a socket that lost an answer is as good as before, the next look begins anew.
      if (hasCode(error, 'EBADF')) return;
    }
    if (performance.now() - now > LONG) giveBack();
    next = performance.now() + TICK;
  }
};

/**
 * Whether a link of an overlay was made, changed or removed, or one that leads to other nodes, or an address: the node's own may have changed, and with the last one of a link
 * the kernel drops the routes by it. Or too much has happened to say.
 */
function isAboutOverlays(raw: RawMessage, keeper: OverlayKeeper): boolean {
  switch (raw.type) {
    case NLMSG.OVERRUN:
      return true;
    case RTM.NEWADDR:
    case RTM.DELADDR:
      return readMessage(addrKind, raw).header.scope !== SCOPE_LINK;
    default: {
      const { header, attrs } = readMessage(linkKind, raw);
      return keeper.usesLink(header.index) || isDeviceName(attrs.name ?? '');
    }
  }
}
