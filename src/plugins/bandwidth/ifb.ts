/**
 * The ifb of an attachment: what the container sends is first sent out through this link, since only there it can be
 * queued. drivers/net/ifb.c.
 */
import { aliasOf, hostLinkName } from '../../attach/owner.ts';
import { addMarked, removeByMac } from '../../attach/wire.ts';
import { randomBytes } from '../../ffi/random.ts';
import { localMac } from '../../net/mac.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import * as link from '../../rtnl/link.ts';

/** The name is derived from the owner, and the alias names the owner, so DEL and GC find the link. */
export function ifbName(owner: string): string {
  return hostLinkName('ifb', owner);
}

/**
 * Makes the ifb, up, with the MTU and queue length of the link that it stands for.
 * @throws NetloomError duplicate-attachment if the owner has one already
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
  // NB: before the message is sent. If its answer is lost, the link may exist all the same.
  undo.defer(() => removeByMac(nl, own));
  addMarked(nl, adding, own.name, aliasOf(owner));
  return link.get(nl, { name: own.name });
}
