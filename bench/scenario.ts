/** A configuration of bridge and host-local, with the same meaning on both sides. */

export interface Scenario {
  readonly name: string;
  /** Keys of the plugin. */
  readonly plugin: Readonly<Record<string, unknown>>;
  /** The range sets of host-local. */
  readonly subnets: readonly string[];
  /** Leases in the network before the first ADD. */
  readonly leases: number;
}

export const IPV4 = '10.64.0.0/16';
export const IPV6 = 'fd00:64::/64';

/** The configuration of a scenario, as a runtime hands it to the plugin. */
export function configuration(scenario: Scenario, dataDir: string): Record<string, unknown> {
  return {
    cniVersion: '1.0.0', // The reference's latest is this.
    name: scenario.name,
    type: 'bridge',
    bridge: 'bench0',
    isDefaultGateway: true,
    ...scenario.plugin,
    ipam: { type: 'host-local', dataDir, ranges: scenario.subnets.map((subnet) => [{ subnet }]) },
  };
}
