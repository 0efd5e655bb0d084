/** A configuration of bridge and host-local that means the same to both sides. */

export interface Scenario {
  readonly name: string;
  /** Keys of bridge. */
  readonly plugin: Readonly<Record<string, unknown>>;
  /** The range sets of host-local. */
  readonly subnets: readonly string[];
  /** The number of leases in the network before the first ADD. */
  readonly leases: number;
  /** The plugins behind it in the chain. */
  readonly behind?: readonly Plugin[];
}

/** The configuration of one plugin. */
export type Plugin = Readonly<Record<string, unknown>> & { readonly type: string };

export const IPV4 = '10.64.0.0/16';
export const IPV6 = 'fd00:64::/64';

/** The configurations of a scenario, plugin by plugin, as a runtime passes them. */
export function configurations(scenario: Scenario, dataDir: string): Plugin[] {
  const bridge = {
    type: 'bridge',
    bridge: 'bench0',
    isDefaultGateway: true,
    ...scenario.plugin,
    ipam: { type: 'host-local', dataDir, ranges: scenario.subnets.map((subnet) => [{ subnet }]) },
  };
  // The latest version that the reference supports.
  const common = { cniVersion: '1.0.0', name: scenario.name };
  return [bridge, ...(scenario.behind ?? [])].map((plugin) => ({ ...common, ...plugin }));
}
