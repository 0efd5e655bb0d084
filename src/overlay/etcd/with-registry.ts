import { EtcdClient } from './client.ts';
import { EtcdRegistry } from './registry.ts';
import type { EtcdMembership } from './settings.ts';

/** For single requests of the command line. NB: import this file only when it is needed: it loads the HTTP modules. */
export async function withRegistry<T>(of: EtcdMembership, action: (registry: EtcdRegistry) => Promise<T>): Promise<T> {
  using client = new EtcdClient(of.etcd);
  return await action(new EtcdRegistry(client, of));
}
