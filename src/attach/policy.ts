/**
 * The policy of an attachment: its elements in the nft table, by its owner, and the settings by which its frames reach
 * the hooks where policy is judged.
 */
import type { CniCall } from '../cni/call.ts';
import { NetloomError } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { makeDirectories, O, tryStat, unlink, writeText } from '../ffi/file.ts';
import { fnv1a } from '../fnv.ts';
import type { Ip } from '../net/ip.ts';
import { readSysctl } from '../net/sysctl.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import * as nftPolicy from '../nft/policy.ts';
import { openNft, tryOpenNft } from '../nft/socket.ts';
import type { Paths } from '../paths.ts';
import * as link from '../rtnl/link.ts';
import { gather } from './gather.ts';
import { commentOf, isCommentOfNetwork, ownerOf, validOwners } from './owner.ts';
import type { PolicyRules } from './policy-rules.ts';
import type { Differences } from './verify.ts';

const CALL_IPTABLES = 'net/bridge/bridge-nf-call-iptables';
const CALL_IP6TABLES = 'net/bridge/bridge-nf-call-ip6tables';

/** The elements for an owner's addresses. */
export function entriesOf(comment: string, ips: readonly Ip[], { ingress, egress }: PolicyRules): nftPolicy.Policed[] {
  return ips.map((ip) => ({ ip, comment, ingress: ingress[ip.family], egress: egress[ip.family] }));
}

/**
 * Replaces the policy of the entries' addresses.
 * Equivalent to: `nft add element inet netloom policy-ingress4 { IP : jump … }`, and the like
 */
export function setPolicy(entries: readonly nftPolicy.Policed[]): void {
  using nft = openNft();
  nftPolicy.apply(nft, entries);
}

/** Ends the policy of these addresses where they are still the owner's. @returns whether there was any */
export function removePolicy(entries: readonly Pick<nftPolicy.Policed, 'ip' | 'comment'>[]): boolean {
  let wasThere = false;
  using nft = tryOpenNft();
  if (nft === undefined) return wasThere;
  gather(
    ...entries.map((entry) => () => {
      if (nftPolicy.remove(nft, entry)) wasThere = true;
    }),
    () => nftPolicy.sweep(nft),
  );
  return wasThere;
}

/** Ends the policies whose comment is wanted. It looks at all of them. @returns how many addresses had one */
export function removePolicyBy(isWanted: (comment: string) => boolean): number {
  using nft = tryOpenNft();
  if (nft === undefined) return 0;
  const found = new Map(
    nftPolicy
      .list(nft)
      .filter(({ comment }) => isWanted(comment))
      .map((entry) => [`${entry.ip}`, entry]),
  );
  gather(...[...found.values()].map((entry) => () => nftPolicy.remove(nft, entry)), () => nftPolicy.sweep(nft, true));
  return found.size;
}

/** Ends the policies of a network's attachments that are no longer valid. */
export function removeStalePolicies(call: CniCall): void {
  removePolicyBy(isStaleIn(call));
}

/** The marks of the stale elements that are still there. */
export function stalePolicyMarks(call: CniCall): string[] {
  using nft = tryOpenNft();
  if (nft === undefined) return [];
  return nftPolicy
    .list(nft)
    .map(({ comment }) => comment)
    .filter(isStaleIn(call));
}

function isStaleIn(call: CniCall): (comment: string) => boolean {
  const valid = new Set(validOwners(call).map(commentOf));
  return (comment) => isCommentOfNetwork(comment, call.conf.name) && !valid.has(comment);
}

/** Says for which addresses the kernel has another policy. */
export function verifyPolicy(entries: readonly nftPolicy.Policed[], differences: Differences): void {
  using nft = openNft();
  for (const entry of entries) {
    if (!nftPolicy.has(nft, entry)) differences.add(`the address ${entry.ip} has not its policy`);
  }
}

/**
 * Makes frames between the ports of a bridge pass the hooks of IP, where policy is judged. Where that is not on for all
 * bridges, it is switched on for the container's, and stays on.
 * Equivalent to: `ip link set BRIDGE type bridge nf_call_iptables 1 nf_call_ip6tables 1`
 * NB: the settings are per namespace (since Linux 5.3), and a bridge has its own besides; both are read and written
 * from the host's side.
 * @throws NetloomError unsupported where br_netfilter is not loaded: nothing that netlink carries loads it
 */
export function filterBridges(nl: NetlinkSocket, links: readonly link.Link[]): void {
  for (const bridge of unfiltered(nl, links)) {
    nl.execute(
      link.set(
        { index: bridge.index },
        { linkinfo: { kind: 'bridge', data: { nf_call_iptables: true, nf_call_ip6tables: true } } },
      ),
    );
  }
}

/** Says which bridges do not pass frames to the hooks of IP. @throws NetloomError as filterBridges() */
export function verifyBridges(nl: NetlinkSocket, links: readonly link.Link[], differences: Differences): void {
  for (const { name } of unfiltered(nl, links))
    differences.add(`what passes between the ports of "${name}" is not judged`);
}

/** The bridges that these links are ports of, and whose frames do not pass the hooks of IP. */
function unfiltered(nl: NetlinkSocket, links: readonly link.Link[]): link.Link[] {
  const masters = new Set(
    links.flatMap(({ attrs, master }) =>
      attrs.linkinfo?.slaveKind === 'bridge' && master !== undefined ? [master] : [],
    ),
  );
  if (masters.size === 0) return [];
  const [all4, all6] = [readSysctl(CALL_IPTABLES), readSysctl(CALL_IP6TABLES)];
  if (all4 === undefined || all6 === undefined) {
    throw new NetloomError(
      'unsupported',
      'Cannot judge what passes between the ports of a bridge: the module br_netfilter is not loaded (CONFIG_BRIDGE_NETFILTER)',
      { hint: 'run `modprobe br_netfilter`, and name it in /etc/modules-load.d for the next boot' },
    );
  }
  if (all4 === '1' && all6 === '1') return [];
  return [...masters]
    .map((index) => link.get(nl, { index }))
    .filter(({ attrs }) => {
      const data = attrs.linkinfo?.data as { nf_call_iptables?: boolean; nf_call_ip6tables?: boolean } | undefined;
      return data?.nf_call_iptables !== true || data.nf_call_ip6tables !== true;
    });
}

/**
 * Remembers that a person has set an attachment's policy. Then the DEL of its network ends it, although no plugin of
 * the chain knows of it. It is an empty file, in a directory that a boot empties like the kernel's tables.
 */
export function remember(paths: Paths, owner: string): void {
  makeDirectories(directoryOf(paths, networkOf(owner)));
  writeText(recordOf(paths, owner), '', O.WRONLY | O.CREAT);
}

export function forget(paths: Paths, owner: string): void {
  unlink(recordOf(paths, owner));
}

/** For DEL: ends what a person has set. */
export function endRemembered(call: CniCall): void {
  const owner = ownerOf(call);
  if (tryStat(recordOf(call.paths, owner)) === undefined) return;
  const comment = commentOf(owner);
  removePolicyBy((other) => other === comment);
  forget(call.paths, owner);
}

/** For GC: the same for a network's attachments that are no longer valid. */
export function endStaleRemembered(call: CniCall): void {
  const directory = directoryOf(call.paths, call.conf.name);
  const valid = new Set(validOwners(call).map((owner) => fnv1a(owner)));
  const stale = (tryList(directory) ?? []).filter((name) => !valid.has(name));
  if (stale.length === 0) return;
  removeStalePolicies(call);
  for (const name of stale) unlink(`${directory}/${name}`);
}

function directoryOf({ run }: Paths, network: string): string {
  return `${run}/policy/${network}`;
}

function recordOf(paths: Paths, owner: string): string {
  return `${directoryOf(paths, networkOf(owner))}/${fnv1a(owner)}`;
}

function networkOf(owner: string): string {
  return owner.slice(0, owner.indexOf('/'));
}
