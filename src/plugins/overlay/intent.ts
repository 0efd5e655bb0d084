/** What this host should have, according to a configuration. */
import type { CniCall } from '../../cni/call.ts';
import type { NetloomError } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { membersByAgent } from '../../overlay/agent-members.ts';
import type { Intent } from '../../overlay/intent.ts';
import { membersOf } from '../../overlay/members.ts';
import type { Surroundings } from '../../overlay/membership.ts';
import type { OverlayNode } from '../../overlay/network.ts';
import { readingOfDirectory, readingOfMemory } from '../../overlay/reading.ts';
import { changesOf } from '../../overlay/reconcile.ts';
import { overlayMtu, ownNode } from '../../overlay/underlay.ts';
import { checkConf, type OverlayConf } from './conf.ts';

/** What an intent is made from: a call, or the parts of one that the agent has. */
export type OverlayCall = Pick<CniCall<OverlayConf>, 'conf' | 'paths' | 'warn'> & Pick<Surroundings, 'records'>;

/**
 * What this node's kernel should have. Changes nothing there.
 * @param joins whether this host becomes a node of a directory if it is not one yet: for an ADD
 * @param before the intent of the same configuration that was carried out last. The routes to peers that have not moved
 * since are not looked up again, which saves one request for each
 * @throws NetloomError invalid-config, not-available, name-taken, address-exhausted
 */
export function intentOf(nl: NetlinkSocket, call: OverlayCall, joins: boolean, before?: Intent): Intent {
  const { conf } = call;
  const { network, source } = checkConf(conf);
  const { own, nodes } =
    'nodes' in source
      ? { own: ownNode(nl, source.nodes, conf.node), nodes: source.nodes }
      : 'file' in source
        ? membersOf(nl, source.file, call, joins)
        : membersByAgent(nl, source.etcd, call);
  const others = nodes.filter(({ name }) => name !== own.name);
  const isSame = before?.own.address.equals(own.address) === true;
  const misplaced = new Map<OverlayNode, NetloomError>();
  const mtu = overlayMtu(nl, network, own, isSame ? changesOf(before.peers, others).come : others, conf.mtu, {
    ...(isSame && { before: before.mtu }),
    passOver: 'nodes' in source ? undefined : (peer, error) => misplaced.set(peer, error),
  });
  const peers = others.filter((peer) => !misplaced.has(peer));
  const [first] = misplaced.values();
  // NB: a node that joins in the wrong place must not cut the others off from their containers and from each other. A
  // node that reaches none of several peers is in the wrong place itself.
  if (first !== undefined && misplaced.size > 1 && peers.length === 0) throw first;
  for (const [{ name }, { message }] of misplaced) call.warn(`The node "${name}" is passed over: ${message}`);
  return { network, own, peers, mtu };
}

/** A call that needs its intent several times: the nodes are read again only if the store has changed. */
export function withReading(call: CniCall<OverlayConf>): OverlayCall {
  const { conf, paths } = call;
  const { source } = checkConf(conf);
  const around = { conf, paths, warn: (message: string) => call.warn(message) };
  if ('nodes' in source) return around;
  const records = 'file' in source ? readingOfDirectory(source.file) : readingOfMemory(source.etcd, paths);
  return { ...around, records };
}

/** Whether packets to the outside get the host's address. Those of an internal network do not go there. */
export function masquerades({ ipMasq, internal }: Pick<OverlayConf, 'ipMasq' | 'internal'>): boolean {
  return ipMasq && !internal;
}
