/** DEL and GC of attachments by veth: the same for every plugin that makes one. */
import type { CniCall, NetConf } from '../cni/call.ts';
import { openRoute } from '../rtnl/socket.ts';
import { removeContainerLink, removeHostLink, removeStaleLinks, staleLinkMarks } from './links.ts';
import { attachmentsMarked } from './marked.ts';
import { removeStaleMasquerades, staleMasqueradeMarks, unmasquerade } from './masquerade.ts';
import { tryOpenContainer } from './namespace.ts';
import { ownerOf, validOwners } from './owner.ts';
import { endRemembered, endStaleRemembered, stalePolicyMarks } from './policy.ts';
import { type Collection, collectAndRelease, removeAndRelease } from './release.ts';
import { hostEndName } from './wire.ts';

export interface VethConf extends NetConf {
  readonly ipMasq: boolean;
}

/**
 * Removes the wire, its masquerading and its leases. Needs neither the namespace nor prevResult. Each call does what is
 * still left to do.
 */
export function detach(call: CniCall<VethConf>): void {
  const owner = ownerOf(call);
  removeAndRelease(
    call,
    () => {
      using nl = openRoute();
      if (removeHostLink(nl, hostEndName(owner), owner)) return;
      // Not ours, or missing: an attachment of the reference plugin is found by its name in the container.
      using container = tryOpenContainer(call);
      if (container !== undefined) removeContainerLink(nl, container, call.ifname, 'veth');
    },
    () => {
      if (call.conf.ipMasq) unmasquerade(call);
    },
    () => endRemembered(call),
  );
}

/** Removes what is left in the network of attachments that the runtime no longer knows. */
export function collectStale(call: CniCall<VethConf>): void {
  const collection = (remove: () => void, marks: () => readonly string[]): Collection => ({
    remove,
    left: () => attachmentsMarked(call, marks()),
  });
  collectAndRelease(
    call,
    collection(
      () => {
        using nl = openRoute();
        removeStaleLinks(nl, call.conf.name, validOwners(call));
      },
      () => {
        using nl = openRoute();
        return staleLinkMarks(nl, call.conf.name, validOwners(call));
      },
    ),
    collection(
      () => removeStaleMasquerades(call),
      () => staleMasqueradeMarks(call),
    ),
    collection(
      () => endStaleRemembered(call),
      () => stalePolicyMarks(call),
    ),
  );
}
