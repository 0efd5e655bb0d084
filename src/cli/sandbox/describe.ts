import { AttachmentCache } from '../../runtime/cache.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { EndpointStore } from '../../runtime/endpoints.ts';
import { sandboxProcesses, tryOpenPin } from '../../runtime/sandbox/sandbox.ts';
import { type Sandbox, sandboxNetns } from '../../runtime/sandbox/store.ts';
import { addressesOf } from '../network/describe.ts';

/** What listings say of a sandbox. */
export function describeSandbox(context: RuntimeContext, sandbox: Sandbox) {
  const { name, mode } = sandbox;
  const cache = new AttachmentCache(context.paths.cni);
  using pin = mode === 'host' ? undefined : tryOpenPin(sandboxNetns(context, name));
  return {
    name,
    mode,
    /** Missing: its namespace is gone, as after a boot. */
    state: mode === 'host' || pin !== undefined ? 'present' : 'missing',
    netns: mode === 'host' ? null : sandboxNetns(context, name),
    endpoints: new EndpointStore(context).of(name).map(({ network, ifname, ports }) => ({
      network,
      ifname,
      addresses: addressesOf(cache.get(network, name, ifname)?.result),
      ports,
    })),
    processes: sandboxProcesses(context, sandbox).map(({ pid, command }) => ({ pid, command })),
  };
}
