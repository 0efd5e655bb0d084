/** The two sides of an attachment: sockets in the host's and in the container's namespace, opened once. */
import type { CniCall } from '../cni/call.ts';
import { NetloomError } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { type Netns, openNetns, tryOpenNetns } from '../netns/namespace.ts';
import { withNetns } from '../netns/within.ts';
import * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';

/** The container's namespace with a socket inside. */
export class ContainerSide implements Disposable {
  readonly netns: Netns;
  readonly nl: NetlinkSocket;

  constructor(netns: Netns) {
    this.netns = netns;
    this.nl = withNetns(netns, () => openRoute());
  }

  [Symbol.dispose](): void {
    this.nl.close();
    this.netns[Symbol.dispose]();
  }
}

/** Opens the container's side. @throws NetloomError no-namespace, not-a-namespace */
export function openContainer(call: CniCall): ContainerSide {
  return new ContainerSide(openNetns(call.netns));
}

/** As openContainer(), but undefined where there is none any more: for DEL. */
export function tryOpenContainer(call: CniCall): ContainerSide | undefined {
  if (call.netns === '') return undefined;
  const netns = tryOpenNetns(call.netns);
  return netns && new ContainerSide(netns);
}

/** @throws NetloomError ifname-in-use, before anything was changed */
export function refuseTakenIfname(container: ContainerSide, ifname: string): void {
  if (link.find(container.nl, { name: ifname }) === undefined) return;
  throw new NetloomError(
    'ifname-in-use',
    `Cannot add "${ifname}" to the container: it has an interface of that name already`,
    {
      hint: 'choose another CNI_IFNAME, or call DEL for the attachment that has it',
    },
  );
}
