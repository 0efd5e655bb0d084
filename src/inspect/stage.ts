/**
 * A namespace that plays this host: links with the same names, MACs and addresses, and the same default routes, so that
 * plugins find what they would find here.
 */
import { isOurAlias } from '../attach/owner.ts';
import { readSysctl, writeSysctl } from '../net/sysctl.ts';
import type { Request } from '../netlink/message.ts';
import type { Netns } from '../netns/namespace.ts';
import { withNetns } from '../netns/within.ts';
import { commit } from '../nft/batch.ts';
import * as iptablesForward from '../nft/iptables-forward.ts';
import { tryOpenNft } from '../nft/socket.ts';
import * as table from '../nft/table.ts';
import { isDeviceName } from '../overlay/network.ts';
import * as addr from '../rtnl/addr.ts';
import { ARPHRD } from '../rtnl/constants.ts';
import * as link from '../rtnl/link.ts';
import * as route from '../rtnl/route.ts';
import { openRoute } from '../rtnl/socket.ts';

const FORWARDING = ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'];

/** The parts of the host that the stage reproduces. */
interface Scenery {
  readonly links: readonly link.Link[];
  readonly addresses: readonly addr.Address[];
  readonly routes: readonly route.Route[];
  readonly sysctls: readonly (readonly [key: string, value: string])[];
  /** iptables' own chain for forwarded packets, which plugins have to get past. */
  readonly chains: readonly Request[];
}

export interface StageOptions {
  /** Links that the stage leaves out, because what is to be explained makes them. */
  readonly without: ReadonlySet<string>;
  /**
   * Whether it plays a host that netloom has not touched: nothing is forwarded there, and the chains of iptables have
   * no rule of ours.
   */
  readonly isFresh: boolean;
}

/**
 * Builds the stage in an empty namespace.
 * @returns a function that resets forwarding and rulesets in the calling thread's namespace to what they are on this
 * host
 */
export function buildStage(stage: Netns, { without, isFresh }: StageOptions): () => void {
  const scenery = read(isFresh);
  const links = scenery.links.filter(({ name }) => !without.has(name));
  withNetns(stage, () => build({ ...scenery, links }));
  return () => {
    using nft = tryOpenNft();
    if (nft !== undefined) commit(nft, [table.flush()]);
    govern(scenery);
  };
}

function read(isFresh: boolean): Scenery {
  using nl = openRoute();
  return {
    // Ports are left out: no plugin looks for one, since its master has the addresses. So are links of ours: they
    // belong to attachments, or come with the first one.
    links: link
      .list(nl)
      .filter(
        ({ name, master, alias }) => name !== 'lo' && master === undefined && !isOurAlias(alias) && !isDeviceName(name),
      ),
    addresses: addr.list(nl).filter(({ scope }) => scope === 0),
    routes: route.list(nl).filter(({ dst, table }) => dst.prefix === 0 && table === route.RT_TABLE.MAIN),
    sysctls: FORWARDING.flatMap((key) => {
      const value = isFresh ? undefined : readSysctl(key);
      return value === undefined ? [] : [[key, value] as const];
    }),
    chains: readChains(isFresh),
  };
}

function readChains(isFresh: boolean): Request[] {
  using nft = tryOpenNft();
  if (nft === undefined) return [];
  return isFresh ? iptablesForward.beneath(nft) : iptablesForward.unaltered(nft);
}

/** Leaves out what this kernel does not let us reproduce; a plugin that needs it will report that. */
function build({ links: played, addresses, routes, ...rules }: Scenery): void {
  using nl = openRoute();
  nl.attempt(played.map(playedBy));
  const made = new Map(link.list(nl).map(({ name, index }) => [name, index]));
  const indexOf = (index: number | undefined) => made.get(played.find((each) => each.index === index)?.name ?? '');
  const isDown = (name: string) => played.some((each) => each.name === name && !each.isUp);
  nl.attempt([...made.keys()].filter((name) => !isDown(name)).map((name) => link.set({ name }, {}, { up: true })));
  nl.attempt(
    addresses.flatMap(({ link: index, address }) => {
      const own = indexOf(index);
      return own === undefined ? [] : [addr.add(own, address, { nodad: address.family === 6 })];
    }),
  );
  nl.attempt(
    routes.flatMap(({ oif, ...rest }) => {
      const own = indexOf(oif);
      return own === undefined ? [] : [route.add({ ...rest, oif: own, onlink: rest.gateway !== undefined })];
    }),
  );
  govern(rules);
}

function govern({ sysctls, chains }: Pick<Scenery, 'sysctls' | 'chains'>): void {
  for (const [key, value] of sysctls) if (readSysctl(key) !== value) writeSysctl(key, value);
  using nft = chains.length === 0 ? undefined : tryOpenNft();
  if (nft !== undefined) commit(nft, chains);
}

/**
 * A bridge stays a bridge. Any other link becomes a veth, on which every kind of link can stand, and which has a
 * carrier only if its other end is up.
 */
function playedBy({ name, kind, mac, mtu, hardware, attrs }: link.Link, i: number) {
  const common = { name, mtu, ...(mac !== undefined && hardware === ARPHRD.ETHER && { address: mac }) };
  if (kind !== 'bridge')
    return link.add({ ...common, linkinfo: { kind: 'veth', data: { peer: { attrs: { name: `other-end-${i}` } } } } });
  const has = attrs.linkinfo?.data ?? {};
  const data = 'vlan_filtering' in has && has.vlan_filtering === true ? { vlan_filtering: true } : {};
  return link.add({ ...common, linkinfo: { kind: 'bridge', data } });
}
