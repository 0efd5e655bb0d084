/**
 * The master of a link on top of another one (macvlan, ipvlan, vlan): found and checked before anything is changed.
 * Plugins call it the master, and the kernel the lower device; it is not the master of IFLA_MASTER.
 */
import * as v from 'valibot';
import type { NetConf } from '../cni/call.ts';
import { boolean, ifname, int } from '../cni/config.ts';
import { NetloomError } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { ARPHRD } from '../rtnl/constants.ts';
import * as link from '../rtnl/link.ts';
import * as route from '../rtnl/route.ts';
import type { ContainerSide } from './namespace.ts';
import { isOurAlias } from './owner.ts';

/** Least MTU of IPv4, RFC 791. */
const MTU_MIN = 68;

/** How many links an error names. */
const NAMES_MAX = 20;

/** The keys that these types have in common. */
export const masterKeys = () => ({
  master: v.exactOptional(ifname),
  mtu: v.optional(int, 0),
  linkInContainer: v.optional(boolean, false),
});

export interface MasterConf extends NetConf {
  readonly master?: string;
  /** 0 is the master's. */
  readonly mtu: number;
  /** The master is in the container's namespace rather than in the host's. */
  readonly linkInContainer: boolean;
}

/**
 * What a kind needs from its master. The kernel demands the same, but with a bare errno, and only when the link is
 * made.
 */
export interface MasterNeeds {
  /** It takes the master's frames before anybody else sees them, as a bridge does with its ports. */
  readonly takesFrames: boolean;
  /** It cannot be set up while the master is down. */
  readonly masterUp: boolean;
}

/** A suitable master, and what follows from it for the link on top of it. */
export interface FoundMaster {
  readonly master: link.Link;
  /** A socket of the namespace that it is in. */
  readonly from: NetlinkSocket;
  readonly attrs: Pick<link.LinkAttrs, 'link' | 'mtu'>;
}

/** Finds and checks the master. Changes nothing. @throws NetloomError no-link, invalid-config */
export function masterFor(
  conf: MasterConf,
  host: NetlinkSocket,
  container: ContainerSide,
  needs: MasterNeeds,
): FoundMaster {
  const from = conf.linkInContainer ? container.nl : host;
  const master = findMaster(from, conf, needs);
  checkMaster(master, conf, needs);
  return { master, from, attrs: { link: master.index, ...(conf.mtu > 0 && { mtu: conf.mtu }) } };
}

/** For STATUS, which knows no container: a master on the host. @throws NetloomError no-link, invalid-config */
export function requireMaster(conf: MasterConf, host: NetlinkSocket, needs: MasterNeeds): void {
  if (!conf.linkInContainer) checkMaster(findMaster(host, conf, needs), conf, needs);
}

/** Links that can be the master of a link of the kind, up or down, without those of our attachments. */
export function mastersThere(nl: NetlinkSocket, { takesFrames }: Pick<MasterNeeds, 'takesFrames'>): string[] {
  return link
    .list(nl)
    .filter((each) => !isOurAlias(each.alias) && faultOf(each, takesFrames, false) === undefined)
    .map(({ name, isUp }) => (isUp ? name : `${name} (down)`));
}

/** These names as the end of an error. */
export function thereAre(names: readonly string[]): string {
  if (names.length === 0) return 'there is no link that can be one';
  return `there are: ${names.slice(0, NAMES_MAX).join(', ')}${names.length > NAMES_MAX ? ', …' : ''}`;
}

/**
 * The link that `master` names, or where it names none, the one that the default route leads to.
 * @param nl a socket of the namespace that the master is in
 * @throws NetloomError no-link
 */
function findMaster(nl: NetlinkSocket, conf: MasterConf, needs: MasterNeeds): link.Link {
  const where = conf.linkInContainer ? 'in the container' : 'on the host';
  if (conf.master === undefined) return linkOfDefaultRoute(nl, where);
  const found = link.find(nl, { name: conf.master });
  if (found !== undefined) return found;
  throw new NetloomError('no-link', `Cannot find the master "${conf.master}" ${where}: there is no such interface`, {
    hint: conf.linkInContainer
      ? 'a plugin before this one must make it'
      : `${thereAre(mastersThere(nl, needs))}; "linkInContainer" looks in the container instead`,
  });
}

/** @throws NetloomError invalid-config where the link cannot be a master, or has a smaller MTU than is asked for */
function checkMaster(master: link.Link, { mtu }: MasterConf, { takesFrames, masterUp }: MasterNeeds): void {
  const fault = faultOf(master, takesFrames, masterUp);
  if (fault !== undefined) {
    throw new NetloomError('invalid-config', `Cannot use "${master.name}" as the master: ${fault}`);
  }
  if (mtu < 0 || mtu > master.mtu) {
    throw new NetloomError('invalid-config', `invalid MTU ${mtu}, must be [0, master MTU(${master.mtu})]`);
  }
  if (mtu > 0 && mtu < MTU_MIN) {
    throw new NetloomError(
      'invalid-config',
      `failed to load netconf: "mtu" is ${mtu}, expected 0 or at least ${MTU_MIN}`,
    );
  }
}

/** Why a link cannot be a master, or undefined. */
export function faultOf(master: link.Link, takesFrames: boolean, masterUp: boolean): string | undefined {
  if (master.hardware === ARPHRD.LOOPBACK) return 'it is the loopback interface';
  if (master.hardware !== ARPHRD.ETHER) return `it is no Ethernet interface (its type is ${master.hardware})`;
  const port = master.attrs.linkinfo?.slaveKind;
  if (takesFrames && port === 'bridge') return 'it is a port of a bridge, which takes all of its frames';
  if (masterUp && !master.isUp) return 'it is down, set it up first';
  return undefined;
}

/** IPv4 before IPv6, and of several the one with the least metric, which is the one that the kernel takes. */
function linkOfDefaultRoute(nl: NetlinkSocket, where: string): link.Link {
  const defaults = route
    .list(nl)
    .filter(({ dst, table, oif }) => dst.prefix === 0 && table === route.RT_TABLE.MAIN && oif !== undefined)
    .sort((a, b) => a.family - b.family || (a.priority ?? 0) - (b.priority ?? 0));
  const index = defaults[0]?.oif;
  if (index !== undefined) return link.get(nl, { index });
  throw new NetloomError(
    'no-link',
    `Cannot find a master: "master" names none, and there is no default route ${where}`,
    {
      hint: 'set "master" to the name of an interface',
    },
  );
}
