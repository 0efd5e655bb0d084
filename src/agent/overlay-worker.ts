/**
 * The agent's thread that looks after overlays. Like those for calls it never returns to the engine's event loop: it
 * waits for notifications of the kernel about links, and of stores.
 */
import { hasCode, messageOf } from '../error.ts';
import { forget } from '../ffi/event.ts';
import { awaitReadable } from '../ffi/poll.ts';
import { NLMSG, type RawMessage, readMessage } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { Keeping } from '../overlay/keeping.ts';
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
  /** Where calls ask for a look, and the event by which they wake this thread. */
  readonly keeping: SharedArrayBuffer;
  readonly wake: number;
}

interface Scope {
  onmessage: ((event: { data: OverlayAssignment }) => void) | null;
  postMessage(message: string): void;
}

/** How often stores are looked at, in ms: nothing notifies of what another machine does in a shared directory. */
const TICK = 1_000;
/**
 * How often to look whether the thread that talks to etcd has written something down, where nothing notifies of it, in
 * ms.
 */
const NEWS = 20;

/** A look that takes this long, in ms, has read thousands of records, and leaves as much garbage. */
const LONG = 50;

/** The most datagrams of the kernel that are read before something else has its turn. */
const HEARD_AT_ONCE = 1_000;

/** RT_SCOPE_LINK: the scope of the addresses that every link has by itself, which change as containers come and go. */
const SCOPE_LINK = 253;

const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data }) => {
  scope.onmessage = null;
  const keeping = new Keeping(() => {}, data.keeping);
  const say = (message: string) => scope.postMessage(message);
  const keeper = new OverlayKeeper(data.paths, say, (network) => keeping.isWanted(network));
  using nl = openRoute();
  using events = openRoute();
  for (const group of [RTNLGRP.LINK, RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR]) events.join(group);
  let next = performance.now();
  for (;;) {
    const wait = Math.max(0, Math.min(next - performance.now(), keeper.isAsking ? NEWS : TICK));
    const [isAboutLinks, isAsked] = awaitReadable([events.fd, data.wake, ...keeper.tellers], wait);
    const now = performance.now();
    // NB: in this order. A call that asks from now on wakes this thread once more.
    if (isAsked === true) forget(data.wake);
    const { asked } = keeping;
    let carried: typeof keeper.carried = {};
    try {
      const isDue = keeper.hear(nl);
      const isSuspect = isAboutLinks === true && hasSuspects(events, keeper);
      if (!isSuspect && !isDue && isAsked !== true && now < next) continue;
      keeper.look(nl, now, isSuspect);
      carried = keeper.carried;
    } catch (error) {
      scope.postMessage(messageOf(error));
      // NB: a socket that lost an answer still works, and the next look begins anew.
      if (hasCode(error, 'EBADF')) {
        keeping.hasKeeper = false;
        return;
      }
    }
    if (performance.now() - now > LONG) giveBack();
    keeping.tell(asked, carried);
    next = performance.now() + TICK;
  }
};

/**
 * Reads all notifications of the kernel. NB: to the end. A new device causes several, and each would take a look at
 * everything.
 */
function hasSuspects(events: NetlinkSocket, keeper: OverlayKeeper): boolean {
  let isSuspect = false;
  for (let i = 0; i < HEARD_AT_ONCE; i++) {
    const raws = events.next(0);
    if (raws.length === 0) break;
    isSuspect ||= raws.some((raw) => isAboutOverlays(raw, keeper));
  }
  return isSuspect;
}

/**
 * Whether a notification may concern overlays. Either a link of an overlay, or one that leads to other nodes, was made,
 * changed or removed. Or an address was: the node's own may have changed, and with the last address of a link the
 * kernel drops the routes over it. Or notifications were lost.
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
