/** DEL and GC of attachments by veth: the same for every plugin that makes one. */
import type { CniCall, NetConf } from '../cni/call.ts';
import { openRoute } from '../rtnl/socket.ts';
import { removeContainerLink, removeHostLink, removeStaleLinks } from './links.ts';
import { removeStaleMasquerades, unmasquerade } from './masquerade.ts';
import { tryOpenContainer } from './namespace.ts';
import { ownerOf, validOwners } from './owner.ts';
import { endRemembered, endStaleRemembered } from './policy.ts';
import { collectAndRelease, removeAndRelease } from './release.ts';
import { hostEndName } from './wire.ts';

export interface VethConf extends NetConf {
  readonly ipMasq: boolean;
}

/**
 * Removes the wire, its masquerading and its leases. Needs neither the namespace nor prevResult, and does what is left to do each time it is called.
 */
export function detach(call: CniCall<VethConf>): void {
  const owner = ownerOf(call);
  removeAndRelease(
    call,
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
  );
}

/** Removes what the network has of attachments that the runtime no longer knows. */
export function collectStale(call: CniCall<VethConf>): void {
  collectAndRelease(
    call,
    () => {
      using nl = openRoute();
      removeStaleLinks(nl, call.conf.name, validOwners(call));
    },
    () => removeStaleMasquerades(call),
    () => endStaleRemembered(call),
  );
}
