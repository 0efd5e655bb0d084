/**
 * ipvlan: a link that shares the MAC of an interface of the host and has addresses of its own.
 * https://www.cni.dev/plugins/current/main/ipvlan/
 */
import * as v from 'valibot';
import type { LinkPlan } from '../../attach/container-link.ts';
import { containerLinkPlugin } from '../../attach/container-link-plugin.ts';
import { masterFor, masterKeys, requireMaster } from '../../attach/master.ts';
import type { ContainerSide } from '../../attach/namespace.ts';
import type { CniCall } from '../../cni/call.ts';
import { type ConfOf, confSchema, text } from '../../cni/config.ts';
import type { CniIp, CniResult, CniRoute } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { Cidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { IPVLAN_MODES } from '../../rtnl/kinds/ipvlan.ts';
import * as route from '../../rtnl/route.ts';

export const MODES: readonly string[] = Object.keys(IPVLAN_MODES);
const NEEDS = { takesFrames: true, masterUp: false };

const schema = confSchema(() => ({ ...masterKeys(), mode: v.optional(text, 'l2') }));

type IpvlanConf = ConfOf<typeof schema>;

export const ipvlan = containerLinkPlugin<IpvlanConf>({
  type: 'ipvlan',
  about: 'a link that shares the MAC of an interface of the host and has addresses of its own',
  schema,
  announces: false,
  checkConf(conf) {
    if (!MODES.includes(conf.mode)) {
      throw new NetloomError(
        'invalid-config',
        `unknown ipvlan mode: "${conf.mode}", expected one of ${MODES.join(', ')}`,
      );
    }
  },
  plan(call, host, container) {
    requireAddresses(call.conf);
    return plan(call, host, container);
  },
  addresses(call, container, allocate) {
    const result = given(call.conf) ?? allocate();
    return isRouted(call.conf) ? routed(result, container.nl) : result;
  },
  made: ({ mode }) => ({ mode }),
  // NB: a STATUS has no prevResult. Without an IPAM of its own the plugin is chained, and an earlier plugin may make
  // the master.
  status: (conf, host) => {
    if (conf.master !== undefined || conf.ipam !== undefined) requireMaster(conf, host, NEEDS);
  },
});

/** @throws NetloomError invalid-config if neither IPAM nor prevResult gives the link an address */
function requireAddresses(conf: IpvlanConf): void {
  if (conf.ipam !== undefined || given(conf) !== undefined) return;
  throw new NetloomError(
    'invalid-config',
    'failed to load netconf: "ipam" is missing, and so is a "prevResult" with addresses: ipvlan tells its links apart by them',
  );
}

function plan({ conf }: CniCall<IpvlanConf>, host: NetlinkSocket, container: ContainerSide): LinkPlan {
  const { master, from, attrs } = masterFor(withMaster(conf), host, container, NEEDS);
  return {
    from,
    attrs: { ...attrs, linkinfo: { kind: 'ipvlan', data: { mode: conf.mode } } },
    refusals: {
      EBUSY: `"${master.name}" is taken by links of another kind, such as those of macvlan, or by a bridge or bond`,
      // ENOTSUPP, an internal errno of the kernel: ipvlan_l3s_register() of a kernel without l3s answers with it.
      E524: 'this kernel has no mode l3s, it needs CONFIG_IPVLAN_L3S',
    },
  };
}

/** Without a `master`, it is the only interface that earlier plugins have made. */
function withMaster(conf: IpvlanConf): IpvlanConf {
  if (conf.master !== undefined || conf.prevResult === undefined) return conf;
  const [only, ...others] = conf.prevResult.interfaces ?? [];
  if (only === undefined || only.name === '' || others.length > 0) {
    throw new NetloomError('invalid-config', 'chained master failure. PrevResult lacks a single named interface', {
      hint: 'set "master" to the name of an interface',
    });
  }
  return { ...conf, master: only.name };
}

/** Without an IPAM plugin of its own it takes the addresses of earlier plugins. */
function given({ ipam, prevResult }: IpvlanConf): CniResult | undefined {
  return ipam === undefined && (prevResult?.ips ?? []).length > 0 ? prevResult : undefined;
}

/** In these modes the host routes: the link has no neighbours, so no gateway answers on it. */
function isRouted({ mode }: IpvlanConf): boolean {
  return mode !== 'l2';
}

/**
 * What leaves by the link is routed by the host, so a default route needs no gateway, only the link. Each family of the
 * addresses gets one, unless IPAM names one or the container already has one from another network.
 */
function routed({ ips = [], routes = [], ...rest }: CniResult, nl: NetlinkSocket): CniResult {
  const isDefault = ({ dst }: Pick<CniRoute, 'dst'>, family: Family) => dst.family === family && dst.prefix === 0;
  const present = route.list(nl).filter(({ table }) => table === route.RT_TABLE.MAIN);
  const families = new Set(ips.map(({ address }) => address.family));
  const added = [...families]
    .filter((family) => ![...routes, ...present].some((each) => isDefault(each, family)))
    .map((family) => ({ dst: Cidr.everything(family) }));
  return { ...rest, ips: ips.map(withoutGateway), routes: [...routes, ...added] };
}

function withoutGateway({ gateway: _, ...ip }: CniIp): CniIp {
  return ip;
}
