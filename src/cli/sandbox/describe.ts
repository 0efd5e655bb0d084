import { AttachmentCache } from '../../runtime/cache.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { EndpointStore } from '../../runtime/endpoints.ts';
import type { PortMapping } from '../../runtime/ports.ts';
import { processesByNetns } from '../../runtime/process.ts';
import { lostSandboxes, type Sandbox, sandboxNetns, sandboxRecords, tryOpenPin } from '../../runtime/sandbox/store.ts';
import { addressesOf } from '../network/describe.ts';

/** What listings show about a sandbox. */
export interface SandboxRow {
  readonly name: string;
  /** `unknown`: its record is lost. */
  readonly mode: string;
  /**
   * `missing`: its namespace is gone, as after a boot. `lost`: its record is damaged or gone, but its namespace exists.
   */
  readonly state: 'present' | 'missing' | 'lost';
  readonly netns: string | null;
  readonly endpoints: readonly {
    readonly network: string;
    readonly ifname: string;
    readonly addresses: readonly string[];
    readonly ports: readonly PortMapping[];
  }[];
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

/** All sandboxes. Endpoints, attachments and processes are each read once, however many sandboxes there are. */
export function describeSandboxes(context: RuntimeContext): SandboxRow[] {
  const records = sandboxRecords(context).list();
  // NB: after the records are read, because only that detects damaged ones.
  const lost = lostSandboxes(context).filter(({ isPinned }) => isPinned);
  const sandboxes = [
    ...records.map(({ name, mode }) => ({ name, mode, isLost: false })),
    ...lost.map(({ name }) => ({ name, mode: 'unknown', isLost: true })),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
  const cache = new AttachmentCache(context.paths.cni);
  const endpoints = Map.groupBy(new EndpointStore(context).list(), ({ target }) => target.containerId);
  const ids = new Map(
    sandboxes.map(({ name, mode }) => [name, mode === 'host' ? undefined : netnsIdOf(context, name)]),
  );
  const processes = processesByNetns([...ids.values()].filter((id) => id !== undefined));
  return sandboxes.map(({ name, mode, isLost }): SandboxRow => {
    const id = ids.get(name);
    return {
      name,
      mode,
      state: isLost ? 'lost' : mode === 'host' || id !== undefined ? 'present' : 'missing',
      netns: mode === 'host' ? null : sandboxNetns(context, name),
      endpoints: (endpoints.get(name) ?? []).map(({ network, ifname, ports }) => ({
        network,
        ifname,
        addresses: addressesOf(cache.tryGet(network, name, ifname)?.result),
        ports,
      })),
      // The processes of a shared namespace are listed with its owner.
      processes: ((mode === 'own' || isLost) && id !== undefined ? (processes.get(id) ?? []) : []).map(
        ({ pid, command }) => ({
          pid,
          command,
        }),
      ),
    };
  });
}

/** One of them. */
export function describeSandbox(context: RuntimeContext, { name }: Sandbox): SandboxRow | undefined {
  return describeSandboxes(context).find((row) => row.name === name);
}

function netnsIdOf(context: RuntimeContext, name: string): string | undefined {
  using pin = tryOpenPin(sandboxNetns(context, name));
  return pin?.id;
}
