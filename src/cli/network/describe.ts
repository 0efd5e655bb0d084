import type { Network } from '../../runtime/conf-directory.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { attachmentsOf } from '../../runtime/network/store.ts';
import { subnetsOf } from '../../runtime/network/subnets.ts';

/** What listings show about a network. */
export interface NetworkRow {
  readonly name: string;
  /** The type of the first plugin. */
  readonly driver: string;
  readonly plugins: readonly string[];
  readonly subnets: readonly string[];
  readonly attached: readonly {
    readonly container: string;
    readonly ifname: string;
    readonly addresses: readonly string[];
  }[];
  readonly file: string;
}

export function describe(context: RuntimeContext, network: Network): NetworkRow {
  const { list, file } = network;
  return {
    name: list.name,
    driver: list.plugins[0]?.type ?? '',
    plugins: list.plugins.map(({ type }) => type),
    subnets: subnetsOf(network).map(String),
    attached: attachmentsOf(context, list.name).map(({ containerId, ifname, result }) => ({
      container: containerId,
      ifname,
      addresses: addressesOf(result),
    })),
    file,
  };
}

/** The addresses of a result of 0.3.0 or later. */
export function addressesOf(result: Readonly<Record<string, unknown>> | undefined): string[] {
  const ips = Array.isArray(result?.['ips']) ? (result['ips'] as unknown[]) : [];
  return ips.flatMap((ip) => {
    const address = typeof ip === 'object' && ip !== null && 'address' in ip ? ip.address : undefined;
    return typeof address === 'string' ? [address] : [];
  });
}
