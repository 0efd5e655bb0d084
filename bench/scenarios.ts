/** What is measured: configurations of bridge and host-local, with the same meaning on both sides. */

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Keys of the plugin. */
  readonly plugin: Readonly<Record<string, unknown>>;
  /** The range sets of host-local. */
  readonly subnets: readonly string[];
  /** Leases in the network before the first ADD. */
  readonly leases: number;
  /** What the ratio to the reference is to stay below, where there is a budget. DESIGN.md, section 8 */
  readonly budget?: number;
}

const IPV4 = '10.64.0.0/16';
const IPV6 = 'fd00:64::/64';

export const SCENARIOS: readonly Scenario[] = [
  { name: 'plain', about: 'IPv4, a gateway', plugin: {}, subnets: [IPV4], leases: 0, budget: 1.15 },
  { name: 'ipmasq', about: 'plain with ipMasq', plugin: { ipMasq: true }, subnets: [IPV4], leases: 0, budget: 0.45 },
  { name: 'ipv6', about: 'IPv6, a gateway', plugin: {}, subnets: [IPV6], leases: 0 },
  { name: 'dual', about: 'IPv4 and IPv6', plugin: {}, subnets: [IPV4, IPV6], leases: 0 },
  { name: 'leases-1000', about: 'plain with 1,000 leases', plugin: {}, subnets: [IPV4], leases: 1000 },
  { name: 'leases-65000', about: 'plain with 65,000 leases', plugin: {}, subnets: [IPV4], leases: 65_000 },
];

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
