import { EtcdClient } from './client.ts';
import { EtcdRegistry } from './registry.ts';
import type { EtcdMembership } from './settings.ts';

/** For a question or two of the command line. NB: to be imported when it is asked: it loads the modules for HTTP. */
export async function withRegistry<T>(of: EtcdMembership, action: (registry: EtcdRegistry) => Promise<T>): Promise<T> {
  using client = new EtcdClient(of.etcd);
  return await action(new EtcdRegistry(client, of));
}
