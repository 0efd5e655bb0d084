/** Containers on a bridge that publish ports: calls the chain of the two plugins, as a runtime does. */
import type { Sandbox } from '../../support/host.ts';
import { bridgeConf, type End, type Json, type Lab, type Output } from '../../support/lab.ts';

/** A bridge with both families and hairpin mode. */
export const bridge = bridgeConf({
  hairpinMode: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]] },
});

export interface Mapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol?: string;
  readonly hostIP?: string;
}

/** A portmap configuration with these mappings. */
export function portmapConf(portMappings: readonly unknown[] | undefined, more: Json = {}): Json {
  return {
    cniVersion: '1.1.0',
    name: 'net',
    type: 'portmap',
    capabilities: { portMappings: true },
    ...(portMappings !== undefined && { runtimeConfig: { portMappings } }),
    ...more,
  };
}

/** ADD of portmap after an existing attachment. */
export function map(
  lab: Lab,
  sandbox: Sandbox,
  prevResult: Output,
  mappings: readonly unknown[] | undefined,
  more: Json = {},
): End {
  return lab.exec('ADD', { ...portmapConf(mappings, more), prevResult }, { sandbox });
}

/** ADD of bridge and portmap. */
export function publish(lab: Lab, sandbox: Sandbox, mappings: readonly Mapping[], more: Json = {}): Output {
  const result = lab.add(bridge, { sandbox });
  return lab.add({ ...portmapConf(mappings, more), prevResult: result }, { sandbox });
}

/** DEL of portmap and bridge, without anything that a runtime may have lost. */
export function withdraw(lab: Lab, sandbox: Sandbox): void {
  lab.del(portmapConf(undefined), { sandbox });
  lab.del(bridge, { sandbox });
}

/** The first address of a family in a result. */
export function addressOf(result: Output, family: 4 | 6 = 4): string {
  const address = result.ips?.find((each) => each.address.includes(':') === (family === 6))?.address ?? '';
  return address.replace(/\/.*/, '');
}
