/** A configuration of bridge and host-local, with the same meaning on both sides. */

export interface Scenario {
  readonly name: string;
  /** Keys of the plugin. */
  readonly plugin: Readonly<Record<string, unknown>>;
  /** The range sets of host-local. */
  readonly subnets: readonly string[];
  /** Leases in the network before the first ADD. */
  readonly leases: number;
  /** The plugins that come after it in a chain. */
  readonly behind?: readonly Plugin[];
}

/** A plugin's own keys. */
export type Plugin = Readonly<Record<string, unknown>> & { readonly type: string };

export const IPV4 = '10.64.0.0/16';
export const IPV6 = 'fd00:64::/64';

/** The configurations of a scenario, plugin by plugin, as a runtime hands them over. */
export function configurations(scenario: Scenario, dataDir: string): Plugin[] {
  const bridge = {
    type: 'bridge',
    bridge: 'bench0',
    isDefaultGateway: true,
    ...scenario.plugin,
    ipam: { type: 'host-local', dataDir, ranges: scenario.subnets.map((subnet) => [{ subnet }]) },
  };
  // The reference's latest version is this.
  const common = { cniVersion: '1.0.0', name: scenario.name };
  return [bridge, ...(scenario.behind ?? [])].map((plugin) => ({ ...common, ...plugin }));
}
