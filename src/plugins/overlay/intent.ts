/** From a configuration to what this machine should do about it. */
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { Intent } from '../../overlay/intent.ts';
import { overlayMtu, ownNode } from '../../overlay/underlay.ts';
import { checkConf, type OverlayConf } from './conf.ts';

/** What this node's kernel should have. Looks, and changes nothing. @throws NetloomError invalid-config, not-available */
export function intentOf(nl: NetlinkSocket, conf: OverlayConf): Intent {
  const { network, nodes } = checkConf(conf);
  const own = ownNode(nl, nodes, conf.node);
  const peers = nodes.filter((node) => node !== own);
  return { network, own, peers, mtu: overlayMtu(nl, network, own, peers, conf.mtu) };
}

/** Whether what goes to the outside gets the host's address. What is internal does not go there. */
export function masquerades({ ipMasq, internal }: Pick<OverlayConf, 'ipMasq' | 'internal'>): boolean {
  return ipMasq && !internal;
}
