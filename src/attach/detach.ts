/** DEL and GC of attachments by veth: the same for every plugin that makes one. */
import type { CniCall, NetConf } from '../cni/call.ts';
import { ipamDel, ipamGc } from '../ipam/delegate.ts';
import { openRoute } from '../rtnl/socket.ts';
import { gather } from './gather.ts';
import { removeContainerLink, removeHostLink, removeStaleLinks } from './links.ts';
import { removeStaleMasquerades, unmasquerade } from './masquerade.ts';
import { tryOpenContainer } from './namespace.ts';
import { ownerOf, validOwners } from './owner.ts';
import { endRemembered, endStaleRemembered } from './policy.ts';
import { hostEndName } from './wire.ts';

export interface VethConf extends NetConf {
  readonly ipMasq: boolean;
}

/**
 * Removes the wire, its masquerading and its leases. Needs neither the namespace nor prevResult, and does what is left to do each time it is called.
 * The address is given back last: nobody may get it while the old wire still answers for it.
 */
export function detach(call: CniCall<VethConf>): void {
  const owner = ownerOf(call);
  gather(
    () => {
      using nl = openRoute();
      if (removeHostLink(nl, hostEndName(owner), owner)) return;
      // Not ours, or not there: an attachment that the reference plugin made goes by its name in the container.
      using container = tryOpenContainer(call);
      if (container !== undefined) removeContainerLink(nl, container, call.ifname, 'veth');
    },
    () => {
      if (call.conf.ipMasq) unmasquerade(call);
    },
    () => endRemembered(call),
    () => {
      if (call.conf.ipam !== undefined) ipamDel(call);
    },
  );
}

/** Removes what the network has of attachments that the runtime no longer knows. */
export function collectStale(call: CniCall<VethConf>): void {
  const { name, ipam } = call.conf;
  gather(
    () => {
      using nl = openRoute();
      removeStaleLinks(nl, name, validOwners(call));
    },
    () => removeStaleMasquerades(call),
    () => endStaleRemembered(call),
    () => {
      if (ipam !== undefined) ipamGc(call);
    },
  );
}
