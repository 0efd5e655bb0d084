/** From a configuration to what this machine should do about it. */
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

/** What an intent follows from: a call, or what the agent has of one. */
export type OverlayCall = Pick<CniCall<OverlayConf>, 'conf' | 'paths' | 'warn'> & Pick<Surroundings, 'records'>;

/**
 * What this node's kernel should have. Changes nothing there.
 * @param joins whether this machine becomes a node of a directory where it is none: for an ADD
 * @param before the intent of the same configuration that was carried out last: the ways to peers that have not moved since are not looked up again, of which each is a question
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
  // NB: who joins in the wrong place keeps nobody else from containers and from each other. Whoever reaches none of
  // several is in the wrong place itself.
  if (first !== undefined && misplaced.size > 1 && peers.length === 0) throw first;
  for (const [{ name }, { message }] of misplaced) call.warn(`The node "${name}" is passed over: ${message}`);
  return { network, own, peers, mtu };
}

/** A call that asks for its intent several times. */
export function withReading(call: CniCall<OverlayConf>): OverlayCall {
  const { conf, paths } = call;
  const { source } = checkConf(conf);
  const around = { conf, paths, warn: (message: string) => call.warn(message) };
  if ('nodes' in source) return around;
  const records = 'file' in source ? readingOfDirectory(source.file) : readingOfMemory(source.etcd, paths);
  return { ...around, records };
}

/** Whether what goes to the outside gets the host's address. What is internal does not go there. */
export function masquerades({ ipMasq, internal }: Pick<OverlayConf, 'ipMasq' | 'internal'>): boolean {
  return ipMasq && !internal;
}
