/** What tuning changes on an interface, in the kernel's terms. */
import type { Request } from '../../netlink/message.ts';
import { IFF } from '../../rtnl/constants.ts';
import * as link from '../../rtnl/link.ts';
import type { LinkSettings } from './conf.ts';

/**
 * What an interface has now. NB: IFF_PROMISC and IFF_ALLMULTI as somebody has set them; a running tcpdump does not
 * count.
 */
export function settingsOf({ mac, mtu, flags, attrs }: link.Link): LinkSettings {
  return {
    ...(mac !== undefined && { mac }),
    mtu,
    promisc: (flags & IFF.PROMISC) !== 0,
    allmulti: (flags & IFF.ALLMULTI) !== 0,
    ...(attrs.txqueuelen !== undefined && { txQLen: attrs.txqueuelen }),
  };
}

/** Equivalent to: `ip link set LINK address MAC mtu MTU txqueuelen N promisc on allmulticast on` */
export function changeLink(index: number, { mac, mtu, txQLen, promisc, allmulti }: LinkSettings): Request {
  return link.set(
    { index },
    {
      ...(mac !== undefined && { address: mac }),
      ...(mtu !== undefined && { mtu }),
      ...(txQLen !== undefined && { txqueuelen: txQLen }),
    },
    { ...(promisc !== undefined && { promisc }), ...(allmulti !== undefined && { allmulti }) },
  );
}

/** How an interface differs from what is asked for, in sentences. */
export function linkDifferences(found: link.Link, asked: LinkSettings): string[] {
  const current = settingsOf(found);
  return Object.entries(asked).flatMap(([key, value]) => {
    const now = current[key as keyof LinkSettings];
    return now === value ? [] : [`"${key}" of "${found.name}" in the container is ${now}, expected ${value}`];
  });
}
