/** Every plugin type in this executable. One line a type; the build makes one link in dist/bin for each. */
import { recorded } from '../attach/recorded.ts';
import type { NetConf } from '../cni/call.ts';
import type { Plugin } from '../cni/plugin.ts';
import { hostLocal } from '../ipam/host-local/plugin.ts';
import { staticIpam } from '../ipam/static/plugin.ts';
import { bandwidth } from './bandwidth/plugin.ts';
import { bridge } from './bridge/plugin.ts';
import { container } from './container/plugin.ts';
import { dummy } from './dummy/plugin.ts';
import { firewall } from './firewall/plugin.ts';
import { host } from './host/plugin.ts';
import { hostDevice } from './host-device/plugin.ts';
import { ipvlan } from './ipvlan/plugin.ts';
import { loopback } from './loopback/plugin.ts';
import { macvlan } from './macvlan/plugin.ts';
import { none } from './none/plugin.ts';
import { overlay } from './overlay/plugin.ts';
import { policy } from './policy/plugin.ts';
import { portmapPlugin } from './portmap/plugin.ts';
import { ptp } from './ptp/plugin.ts';
import { sbr } from './sbr/plugin.ts';
import { tap } from './tap/plugin.ts';
import { tuning } from './tuning/plugin.ts';
import { vlan } from './vlan/plugin.ts';
import { vrf } from './vrf/plugin.ts';

/** A plugin with any configuration, as serve() needs it. */
export type AnyPlugin = Plugin<NetConf>;

/** Those that attach a container: each is refused if it does not go with another one, and leaves a record. */
const attaching = [
  bridge,
  container,
  dummy,
  host,
  hostDevice,
  ipvlan,
  loopback,
  macvlan,
  none,
  overlay,
  ptp,
  tap,
  vlan,
].map((plugin) => recorded(plugin as unknown as AnyPlugin));

/** Those that are chained after them, or called by them. */
const others = [bandwidth, firewall, hostLocal, policy, portmapPlugin, sbr, staticIpam, tuning, vrf].map(
  (plugin) => plugin as unknown as AnyPlugin,
);

export const plugins: ReadonlyMap<string, AnyPlugin> = new Map(
  [...attaching, ...others].map((plugin) => [plugin.type, plugin]),
);
