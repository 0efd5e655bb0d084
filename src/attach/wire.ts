/** The wire between host and container: a veth pair with one end in each namespace. man 4 veth. */
import type { CniCall } from '../cni/call.ts';
import { hasCode, NetloomError } from '../error.ts';
import { randomBytes } from '../ffi/random.ts';
import { localMac, type Mac } from '../net/mac.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as link from '../rtnl/link.ts';
import type { ContainerSide } from './namespace.ts';
import { aliasOf, hostLinkName, ownerOf } from './owner.ts';

/** One end of the wire. */
export interface WireEnd {
  readonly name: string;
  readonly index: number;
  readonly mac: Mac;
}

export interface Wire {
  readonly host: WireEnd;
  readonly container: WireEnd;
}

export interface WireOptions {
  /** 0 is the kernel's. */
  readonly mtu: number;
  /** The MAC of the container's end; a random one where none is asked for. */
  readonly mac?: Mac | undefined;
  /** The bridge that the host's end is a port of. */
  readonly master?: number;
}

/** The name of the host's end of an owner's wire. */
export function hostEndName(owner: string): string {
  return hostLinkName('veth', owner);
}

/**
 * Makes the pair in one message: names, namespaces, MACs and the bridge. So it is never visible half made, and nobody
 * (udev, NetworkManager) can rename or readdress it in between. The host's end is up, the container's not yet.
 * @throws NetloomError duplicate-attachment where the owner has one already
 */
export function addWire(
  nl: NetlinkSocket,
  container: ContainerSide,
  call: CniCall,
  options: WireOptions,
  undo: DisposableStack,
): Wire {
  const owner = ownerOf(call);
  const random = randomBytes(12);
  const host = { name: hostEndName(owner), mac: localMac(random.subarray(0, 6)) };
  const peer = { name: call.ifname, mac: options.mac ?? localMac(random.subarray(6)) };
  const mtu = options.mtu > 0 ? { mtu: options.mtu } : {};
  const peerAttrs = { name: peer.name, address: peer.mac, ...mtu, netnsFd: container.netns.fd };
  const adding = link.add(
    {
      name: host.name,
      address: host.mac,
      ...mtu,
      ...(options.master !== undefined && { master: options.master }),
      linkinfo: { kind: 'veth', data: { peer: { attrs: peerAttrs } } },
    },
    { up: true },
  );
  // NB: before the message goes out. Where its answer is lost, the link may be there all the same.
  undo.defer(() => removeByMac(nl, host));
  addMarked(nl, adding, host.name, aliasOf(owner));
  const made = link.get(nl, { name: host.name });
  // The kernel tells the index of the other end where it is in another namespace.
  const peerIndex = made.attrs.link ?? link.get(container.nl, { name: peer.name }).index;
  return { host: { ...host, index: made.index }, container: { ...peer, index: peerIndex } };
}

/** @throws NetloomError duplicate-attachment where the owner has a wire already, before anything was changed */
export function refuseDuplicate(nl: NetlinkSocket, call: CniCall): void {
  const name = hostEndName(ownerOf(call));
  const holder = link.find(nl, { name });
  if (holder !== undefined) throw duplicate(name, holder);
}

/** Removes a link that this call has made. Its random MAC tells it from one of that name that was there before. */
export function removeByMac(nl: NetlinkSocket, { name, mac }: { readonly name: string; readonly mac: Mac }): void {
  const found = link.find(nl, { name });
  if (found?.mac === mac) nl.attempt([link.remove({ index: found.index })]);
}

/**
 * Makes a link of the host with its mark.
 * NB: both messages go in one datagram, which the kernel works through whatever happens to us: killed at any point, we
 * leave no link without its mark. The kernel does not take the mark in the message that makes a link
 * (rtnl_create_link() ignores IFLA_IFALIAS).
 */
export function addMarked(nl: NetlinkSocket, adding: Request, name: string, alias: string): void {
  const errors = nl.attempt([adding, link.set({ name }, { alias })]);
  const [error] = errors.values();
  if (error === undefined) return;
  const holder = hasCode(error, 'EEXIST') ? link.find(nl, { name }) : undefined;
  throw holder === undefined ? error : duplicate(name, holder, error);
}

function duplicate(name: string, holder: link.Link, cause?: unknown): NetloomError {
  return new NetloomError(
    'duplicate-attachment',
    `Cannot create the link "${name}": it exists already, as ${holder.alias ?? 'a link without a mark'}`,
    { hint: 'this container has been added before; call DEL first', cause },
  );
}
