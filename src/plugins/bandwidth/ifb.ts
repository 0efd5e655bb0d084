/**
 * The ifb of an attachment: a link that what the container sends leaves by first, since only there it can wait.
 * drivers/net/ifb.c.
 */
import { aliasOf, hostLinkName } from '../../attach/owner.ts';
import { addMarked, removeByMac } from '../../attach/wire.ts';
import { randomBytes } from '../../ffi/random.ts';
import { localMac } from '../../net/mac.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as link from '../../rtnl/link.ts';

/** Its name follows from the owner, and its alias says whose it is: DEL and GC find it. */
export function ifbName(owner: string): string {
  return hostLinkName('ifb', owner);
}

/**
 * Makes it, up, like the link that it stands for.
 * @throws NetloomError duplicate-attachment where the owner has one already
 */
export function addIfb(nl: NetlinkSocket, owner: string, like: link.Link, undo: DisposableStack): link.Link {
  const own = { name: ifbName(owner), mac: localMac(randomBytes(6)) };
  const { txqueuelen } = like.attrs;
  const adding = link.add(
    {
      name: own.name,
      address: own.mac,
      mtu: like.mtu,
      ...(txqueuelen !== undefined && { txqueuelen }),
      linkinfo: { kind: 'ifb' },
    },
    { up: true },
  );
  // NB: before the message goes out. Where its answer is lost, the link may be there all the same.
  undo.defer(() => removeByMac(nl, own));
  addMarked(nl, adding, own.name, aliasOf(owner));
  return link.get(nl, { name: own.name });
}
